//! Every bound of the system in one place, with its default. No other file holds a bare number
//! for a queue, a wait or a size.

use serde::Deserialize;

/// What one stored password hash may cost to verify. A hash that asks for more is refused when it
/// is written: whoever may write a password could else take the server's memory and time.
pub struct HashCost {
    pub argon2_memory_kib: u32,
    pub argon2_passes: u32,
    pub argon2_lanes: u32,
    pub crypt_rounds: u32,
}

pub const HASH_COST: HashCost =
    HashCost { argon2_memory_kib: 256 << 10, argon2_passes: 16, argon2_lanes: 16, crypt_rounds: 200_000 };

/// Bytes of a PROXY header behind its fixed part; balancers send some dozens.
pub const PROXY_HEADER: usize = 4096;

/// Identities of which a preview of careers keeps the document at hand.
pub const PREVIEW_DOCUMENTS: usize = 10_000;

/// Entries of one step of a cascade that may be refused; with more, something else is wrong.
pub const CASCADE_REFUSALS: usize = 100;

/// Depth of a filter document.
pub const QUERY_DEPTH: usize = 64;

/// Bytes that one regular expression of a filter document may take once it is compiled.
pub const QUERY_REGEX_BYTES: usize = 256 << 10;

/// Times that an HTTP request is worked out when others change the same identity meanwhile.
pub const HTTP_ATTEMPTS: usize = 5;

/// Identities on one page of a list, unless the client asks for another number.
pub const HTTP_PAGE: usize = 100;

/// Bounds; each can be set under `limits:` in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open LDAP connections; a further one waits in the listen queue.
    pub connections: usize,
    /// Connections bound as one identity; 0 is unlimited.
    pub identity_connections: usize,
    /// Operations under way on one connection; the next is not read until one ends.
    pub in_flight: usize,
    /// Bytes of one LDAP message before a successful bind.
    pub message_bytes_anonymous: usize,
    /// Bytes of one LDAP message after it.
    pub message_bytes: usize,
    /// Depth of nested filters.
    pub filter_depth: usize,
    /// Attributes and classes that one search asks for.
    pub search_attributes: usize,
    /// Assertions in one filter.
    pub filter_terms: usize,
    /// Of them those that follow references from entry to entry.
    pub filter_chains: usize,
    /// Assertions in the filter of an assertion control, which is judged while others wait.
    pub assertion_terms: usize,
    /// Entries that one search returns at the most; 0 is unlimited.
    pub search_entries: usize,
    /// Entries that a trial of other class rules names of each kind; all are counted.
    pub schema_diff_entries: usize,
    /// Seconds that one search may take; 0 is unlimited.
    pub search_secs: u64,
    /// Candidates that one search may look at; 0 is unlimited.
    pub search_candidates: usize,
    /// Entries on one page of a paged search; 0 is as many as the client asks for.
    pub page_entries: usize,
    /// Paged searches of one connection whose next page may still be asked for.
    pub pages: usize,
    /// Entries that one search sorts.
    pub sorted_entries: usize,
    /// Keys that it sorts them by.
    pub sort_keys: usize,
    /// Attributes whose values a search dereferences.
    pub dereferences: usize,
    /// Bytes of what is dereferenced beside one entry.
    pub dereference_bytes: usize,
    /// Seconds without a request after which a connection is closed; 0 is never.
    pub idle_secs: u64,
    /// Seconds for a TLS handshake, and for the header of a load balancer.
    pub tls_handshake_secs: u64,
    /// Seconds that a client may leave its answers unread.
    pub write_secs: u64,
    /// Jobs that wait for the writer; a further one is answered busy.
    pub writer_queue: usize,
    /// Jobs that one commit takes together.
    pub commit_batch: usize,
    /// Moves by lifecycle rules that are asked for at a time.
    pub lifecycle_batch: usize,
    /// Bytes that one commit takes together.
    pub commit_bytes: usize,
    /// Bytes of records that one request may have made, its transaction and what follows from it.
    pub update_bytes: usize,
    /// Changes kept in memory, for feeds that are nearly up to date.
    pub recent_changes: usize,
    /// Entries that one tree delete takes at the most.
    pub tree_delete: usize,
    /// Transactions open on one connection.
    pub transactions: usize,
    /// Updates of one transaction.
    pub transaction_updates: usize,
    /// Bytes of all updates of one transaction.
    pub transaction_bytes: usize,
    /// Bytes of all open transactions of all connections.
    pub transactions_bytes: usize,
    /// Attribute descriptions of one entry.
    pub entry_attributes: usize,
    /// Bytes of one entry.
    pub entry_bytes: usize,
    /// Password values of one entry and of one request.
    pub passwords: usize,
    /// Moves that the history of one identity keeps; the oldest fall off.
    pub history_moves: usize,
    /// Moves that a preview of careers foretells at the most.
    pub preview_moves: usize,
    /// Looks at an identity or at the clock that a preview takes at the most.
    pub preview_looks: usize,
    /// Password hashes computed at one time.
    pub hashing: usize,
    /// Bytes of the body of one HTTP request.
    pub http_body_bytes: usize,
    /// Identities on one page of a list over HTTP at the most.
    pub http_page: usize,
    /// Seconds that operations get to end after a stop was asked.
    pub shutdown_secs: u64,
    /// Searches of one connection that wait for changes.
    pub standing_searches: usize,
    /// Journal records that an export target reads at a time.
    pub journal_page: usize,
    /// Bytes of journal records that are read at a time; one record at the least.
    pub journal_page_bytes: usize,
    /// Bytes of values that one journal record keeps. Of a change with more of them it keeps none,
    /// only which entry and which attributes: part of a change could not be told from all of it.
    pub journal_record_bytes: usize,
    /// Journal records that are kept though every target has passed them: what `cn=changelog`
    /// shows, and how far behind a consumer may come back.
    pub journal_keep: u64,
    /// Journal records that are kept for a target that lags. One that is farther behind looks at everything
    /// after a restart, and costs no more of the disk.
    pub journal_hold: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 4096,
            identity_connections: 0,
            in_flight: 64,
            message_bytes_anonymous: 64 << 10,
            message_bytes: 16 << 20,
            filter_depth: 64,
            search_attributes: 1000,
            filter_terms: 10_000,
            filter_chains: 16,
            assertion_terms: 100,
            search_entries: 0,
            schema_diff_entries: 1000,
            search_secs: 0,
            search_candidates: 0,
            page_entries: 0,
            pages: 16,
            sorted_entries: 200_000,
            sort_keys: 8,
            dereferences: 8,
            dereference_bytes: 16 << 20,
            idle_secs: 0,
            tls_handshake_secs: 10,
            write_secs: 60,
            writer_queue: 1024,
            commit_batch: 256,
            lifecycle_batch: 256,
            commit_bytes: 32 << 20,
            update_bytes: 1 << 30,
            recent_changes: 1024,
            tree_delete: 100_000,
            transactions: 4,
            transaction_updates: 10_000,
            transaction_bytes: 64 << 20,
            transactions_bytes: 128 << 20,
            entry_attributes: 1024,
            entry_bytes: 64 << 20,
            passwords: 5,
            history_moves: 1000,
            preview_moves: 100_000,
            preview_looks: 10_000_000,
            hashing: 2,
            http_body_bytes: 4 << 20,
            http_page: 1000,
            shutdown_secs: 10,
            standing_searches: 8,
            journal_page: 512,
            journal_page_bytes: 4 << 20,
            journal_record_bytes: 64 << 10,
            journal_keep: 10_000,
            journal_hold: 100_000,
        }
    }
}
