//! Export to targets: in memory, to a SCIM server in this process that fails as told, and to a
//! SCIM server that we did not write.

mod engine;
mod fake;
mod faults;
mod long_run;
mod real;
mod world;
