//! The command line.

mod certs;
mod check;
mod connect;
mod department;
mod export;
mod identity;
mod import;
mod lifecycle;
mod schema;
mod target;

use crate::{
    config::{self, Overrides},
    server, telemetry,
};
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// An LDAP directory gateway: identities checked by YAML rules and moved by a lifecycle, kept in
/// an embedded store, exported to SCIM targets.
#[derive(Parser)]
#[command(name = "vestibule", version, about, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    overrides: Overrides,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve LDAP, LDAPS and HTTP until a signal
    Serve {
        /// Start empty, with the suffix entry only
        #[arg(long)]
        no_demo: bool,
    },
    /// Read the configuration and all files it names, and report every fault
    Check,
    /// Import LDIF into a running server or, without --server, into a stopped store
    Import(import::Args),
    /// Write all entries as LDIF
    Export(export::Args),
    /// The tree of structures (supannEntite) of the running server
    Department {
        #[command(subcommand)]
        command: department::Command,
    },
    /// The systems that changes are exported to
    Target(target::Target),
    /// Identities of the running server, and which of them are one person
    Identity {
        #[command(subcommand)]
        command: identity::Command,
    },
    /// Careers of identities in the running server
    Lifecycle {
        #[command(subcommand)]
        command: lifecycle::Command,
    },
    /// The class rules: faults, contents, and what they would say before they go live
    Schema {
        #[command(subcommand)]
        command: schema::Command,
    },
    /// Certificates
    Certs {
        #[command(subcommand)]
        command: CertsCommand,
    },
}

#[derive(Subcommand)]
enum CertsCommand {
    /// Make a development CA and a certificate for localhost
    Dev {
        /// Folder for ca.pem, ca.key, server.pem and server.key [default: the configured one]
        #[arg(long, value_name = "DIR")]
        folder: Option<PathBuf>,
    },
}

impl Cli {
    pub async fn run(self) -> anyhow::Result<()> {
        let mut settings = config::load(&self.overrides)?;
        let log = &settings.file.log;
        match &self.command {
            Command::Serve { .. } => telemetry::logs(log.format, &log.level)?,
            _ => telemetry::logs(log.format, "warn")?,
        }
        match self.command {
            Command::Serve { no_demo } => {
                settings.file.demo &= !no_demo;
                server::serve(settings).await
            }
            Command::Check => check::run(&settings),
            Command::Import(args) => import::run(&settings, args).await,
            Command::Department { command } => department::run(&settings, command).await,
            Command::Export(args) => export::run(&settings, args).await,
            Command::Target(command) => target::run(&settings, command).await,
            Command::Identity { command } => identity::run(&settings, command).await,
            Command::Lifecycle { command } => lifecycle::run(&settings, command).await,
            Command::Schema { command } => schema::run(&settings, command).await,
            Command::Certs { command: CertsCommand::Dev { folder } } => certs::dev(&settings, folder),
        }
    }
}
