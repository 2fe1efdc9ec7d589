//! Export to targets: in memory (also as operators see them), to a SCIM server in this process that fails as told, and to a
//! SCIM server that we did not write.

mod convergence;
mod engine;
mod fake;
mod fault_proxy;
mod faults;
mod leavers;
mod long_run;
mod objects;
mod operator;
mod real;
mod world;
