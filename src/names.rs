//! Names of metrics and of span fields, so that one thing has one name everywhere.

pub const OPERATIONS: &str = "vestibule_ldap_operations_total";
pub const OPERATION_SECONDS: &str = "vestibule_ldap_operation_seconds";
pub const CONNECTIONS: &str = "vestibule_ldap_connections";
pub const ENTRIES: &str = "vestibule_entries";
pub const COMMITS: &str = "vestibule_commits_total";
pub const COMMITTED_JOBS: &str = "vestibule_committed_jobs_total";
pub const EXPORT_PUSHES: &str = "vestibule_export_pushes_total";
pub const EXPORT_SECONDS: &str = "vestibule_export_push_seconds";
pub const EXPORT_LAG: &str = "vestibule_export_lag";
pub const EXPORT_QUEUE: &str = "vestibule_export_queue";
pub const EXPORT_FAILED: &str = "vestibule_export_failed";
pub const EXPORT_QUARANTINED: &str = "vestibule_export_quarantined";
pub const EXPORT_STAGED: &str = "vestibule_export_staged";

/// Fields of the line that closes an operation.
pub const CONN: &str = "conn";
pub const MSGID: &str = "msgid";
pub const OP: &str = "op";
pub const BIND_DN: &str = "bind_dn";
pub const CODE: &str = "code";
pub const ENTRIES_SENT: &str = "entries";
pub const ELAPSED_US: &str = "elapsed_us";
