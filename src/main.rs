//! Parses the command line, builds the runtime, and maps the outcome to an exit code.

use clap::Parser;
use std::{io::Write, process::ExitCode};
use vestibule::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Both TLS sides and the HTTP client use this one provider.
    let provider = rustls::crypto::ring::default_provider();
    if provider.install_default().is_err() {
        return fail("the TLS provider is set up already");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime did not start: {error}")),
    };
    let outcome = runtime.block_on(cli.run());
    // What is durable is so by now. What still computes then computes for nobody.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}")),
    }
}

fn fail(message: &str) -> ExitCode {
    // Without stderr there is nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "vestibule: {message}");
    ExitCode::FAILURE
}
