//! Vestibule: an LDAP directory gateway. Identities come in over LDAP, are checked by YAML rules
//! and moved by a lifecycle, are kept in an embedded store, and go out to SCIM targets.
//!
//! This page is the map of the house. Read it before you look for anything.
//!
//! # Floors
//!
//! A module imports only from lower floors, and not from its own; `tests/it/floors.rs` holds
//! every `use crate::` against this table.
//!
//! | floor | modules | knows |
//! |---|---|---|
//! | 7 | [`config`] [`cli`] [`server`] [`certs`] [`reload`] [`telemetry`] [`timer`] `main` | everything; fills each module's `Options`, starts and stops tasks |
//! | 6 | [`ldap`] [`http`] [`export`] | one protocol each; never each other |
//! | 5 | [`directory`] [`provisioning`] | the operations and the one writer; what is said and asked about targets; no protocol |
//! | 4 | [`store`] | sled, record format, keys; no meaning of a record |
//! | 3 | [`access`] [`lifecycle`] [`auth`] [`sesame`] [`likeness`], and below them [`filter`] | decisions: pure functions; Sesame's JSON form of an identity; names that are alike |
//! | 2 | [`entry`] | values of an entry in wire form, drafts, LDIF |
//! | 1 | [`schema`] [`expression`] | attribute types, classes, matching, validation; the steps of mapping files |
//! | 0 | [`dn`] [`clock`] [`limits`] [`names`] | syntax, time, bounds, metric names |
//!
//! Floors 0 to 3 are plain code without I/O, but for the schema loader, which reads once at
//! start. Floor 4 touches the disk. Floor 5 uses tokio's channels and nothing else of it. Sockets
//! begin at floor 6. The wire crate is imported by `ldap` only, sled by `store` only, the HTTP
//! client by `export` and by `cli`, the LDAP client crate by `export` only.
//!
//! # One add, from socket to SCIM
//!
//! 1. `ldap/listener` accepts, does TLS, spawns a `ldap/session`.
//! 2. `ldap/codec` waits for one whole message, reads its id first, then the request. Filters and
//!    passwords are read through the wire crate's BER layer, because they need not be UTF-8.
//! 3. `ldap/session` has `ldap/controls` read the controls, takes on the identity that they name,
//!    and runs several requests of one connection at a time; bind and StartTLS wait for the
//!    others. Answers gather in `ldap/outbox` and are written in one go.
//! 4. `ldap/ops/write` converts to a [`directory::Op`] and has passwords hashed off the async
//!    threads. Nothing below this line sees a wire type.
//! 5. [`directory::Directory::submit_update`] hands the op and its [`directory::Terms`] to the one
//!    writer thread (`directory/writer`), which takes all that waits, up to `limits.commit_batch`.
//! 6. For each op `directory/add` makes a plan on the state that the ones before left: parent,
//!    existence, RDN values, superclasses, schema and class rules (all violations at once),
//!    lifecycle state (`directory/advance` and `lifecycle/machine`), what follows from it
//!    (`directory/career`), access. A refused op changes nothing.
//! 7. One group goes to [`store::Disk::commit`]: entry records, journal records. `store/sled_disk`
//!    applies one batch, flushes, and calls fdatasync itself, because sled's flush does not.
//! 8. Only then the new [`directory::Snapshot`] is published and the waiters are answered:
//!    durable, visible, answered, in this order.
//! 9. [`export`] wakes up, folds the journal into one pending item per object, and delivers what
//!    differs from the document that the target has accepted last. Links and cursors are rows in
//!    the same store, written by the same writer.
//! 10. When all targets have accepted, the exporter reports it to the directory and the identity
//!     becomes 99 SYNCED.
//!
//! # What is good to know
//!
//! - **One encoding.** [`entry::Entry`] keeps its user attributes as the bytes of a
//!   `PartialAttributeList` (RFC 4511 4.1.7): on disk, in memory, on the wire. A search for all
//!   attributes copies one slice.
//! - **Snapshots.** Readers hold an immutable [`directory::Snapshot`] and never a lock. Its parts
//!   are persistent collections; the writer's copy shares all but the touched nodes.
//! - **The tree is parent and RDN.** No full DN is stored, so a rename is one record whatever
//!   lies below.
//! - **Indexes are memory only**: one sorted map per attribute from normal form to entries, which
//!   serves equality, ordering and initial substrings alike. Nothing on disk is derived.
//! - **A failed commit poisons the writer**: writes answer unavailable, reads go on, health turns
//!   red, an operator restarts. What became of the group is unknown until then.
//! - **Membership is computed**, never stored: `directory/groups` walks the indexes on `member` and
//!   `uniqueMember` upwards for memberOf and downwards for candidates of a filter on it. A group that
//!   the asker may not read is not named; a dynamic group takes for an asker those whom its filter
//!   finds for that asker. Inside of a memberURL only static groups are groups, so no two searches
//!   can wait for each other.
//! - **One update, several effects**: `directory/carry` lets references follow a delete or a rename
//!   (`directory/references`), found by the prefix that a superior's key is in the index. Each entry
//!   touched is a change of its own in the journal, by the one who asked. `directory/unique` looks
//!   at every put before it is applied.
//! - **Updates come on terms**: assertion, no-op, permissive, relax, tree delete and the sights
//!   before and after are part of an update, not of the protocol. A transaction is a list of them.
//! - **Controls are one table** (`ldap/controls`): what stands there is advertised, read, and can
//!   be switched off in the configuration; nothing else is.
//! - **A search is a supply of entries and a way to send them** (`ldap/ops/search`): the supply is
//!   what is found, or a list once it is sorted; pages and windows stop and go on in it. The rest
//!   of a paged search stays with its connection, on the snapshot that it began with.
//! - **Entries that stand for something else** (aliases, referral objects, subentries) are found by
//!   `directory/marks` before a search begins; where there are none they cost nothing.
//! - **An identity is an entry with axes and facts** ([`entry::Facts`]): what Sesame keeps beside the
//!   attributes is in the entry's record and is shown as operational attributes (`directory/facts`). Every
//!   front makes an [`directory::Update`] of an op and [`directory::Terms`], which say what is more in it
//!   than a write: the event, whether faults are held, facts, why. `directory/advance` is the one place
//!   where axes move and the history ([`entry::History`]) is written.
//! - **A deleted identity is an entry in no tree** (`directory/bury`): its record stays, with the name it
//!   had; for the journal, the targets and all who look it is deleted, and an undelete is an add.
//! - **[`sesame`] writes an identity as Sesame's document and reads one back.** What LDAP cannot hold
//!   stands beside the entry (`Facts::beside`), so that the fingerprint, which is computed and never
//!   stored, is that of what was sent. What the server derives is no part of the document.
//! - **A career is part of a state**: what the lifecycle files declare ([`lifecycle::Career`]) stands in
//!   the snapshot, so that a reload is one step for all. `directory/career` looks at each identity that
//!   was written: the first immediate rule that is for it, then the state of its resource. Timed
//!   rules are found by `directory/due`, one set ordered by rule and time, kept up with each put; a
//!   condition that time alone cannot change is looked at there, once for each change. `directory/run`
//!   asks the writer for each move, which looks again; a preview does the same on a copy.
//! - **Feeds follow the journal** (`directory/follow`, `ldap/ops/feed`): content synchronisation,
//!   persistent search and the change log (`ldap/change_log`) are three forms of one reading. What a
//!   change did is worked out where it is logged, from the entry before and after it; secrets have
//!   no part in it. A follower keeps the snapshot that its client has seen: what the search finds
//!   there is what the client holds, so nothing is kept of what was sent. A cookie is the number and
//!   the time of a journal record ([`directory::Csn`]), and good only while that record is kept.
//!   Who comes back with one is told of every entry that may have stood where the search looks at any
//!   time since (`directory/past` knows the names that came of a superior's rename), as far as their
//!   rights reach there: a client that was cut off may hold more than its cookie says.
//! - **A target is a carrier.** A worker ([`export`]) plans one object at a time from the newest snapshot and
//!   its row, asks the guard of removals, and hands what is due to its [`export::carrier::Carrier`]: object by
//!   object where the target has requests for it, many in one delivery where it takes transactions or files.
//!   What came of each object is settled in its row, whichever it was. Rows, the cursor, the operator's wish
//!   and a carrier's own note are rows of one store; what can be told from them is not stored.
//! - **Nothing about a failure holds the cursor**: a row says what failed, when it is due again, whether it
//!   waits for an approval or is in quarantine. The cursor waits for what was never tried.
//! - **Fronts and export know each other by [`provisioning`]**: words for status, accounts and commands, and
//!   one trait, so that LDAP and HTTP show and ask the same.
//! - **Operational attributes have one source**, [`directory::View`], for answers, filters and
//!   access rules alike.
//! - **Domain errors are translated once**: `ldap/result` to a code, without a wildcard arm.
//! - **A trait only where two implementations exist**: [`store::Disk`] (sled, memory with
//!   faults), the export's target (SCIM, LDAP, memory) and carrier (one by one, transactions, files), [`filter::Subject`] (an entry in the tree, an entry
//!   alone), and the listener's `Accept` (TCP, a local socket).
//! - **A directory downstream gets entries as entries** (`export/ldap`): `form` writes one in the other's
//!   names, `diff` makes a rename and modifications of two contents. An entry there is the one with the
//!   entryUUID that its own server gave it; requests carry it as an assertion where the server knows that
//!   control, so that a name which is another's by now is left alone.
//! - **Accounts at targets are entries of the answer alone** (`ldap/accounts`), made below their entry from what
//!   [`provisioning`] tells; a search that does not ask for them does not meet them.
//! - **The schema never changes while the server runs, but for the class rules** (`schema/rules`), which
//!   are exchanged whole: every id is an index into the schema that made it, so that new classes and
//!   attributes (`schema/define`) wait for a restart. What a rule says is a keyword with parts
//!   (`schema/message`), told in each language from one table.
//! - **On-disk versions** are the first byte of each record: entries
//!   [`directory::RECORD_VERSION`], the store's own layout [`store::FORMAT`].
//!
//! # Decided while building
//!
//! - `filter` stands below `access`, since access rules hold filters.
//! - A session polls its operations in its own task instead of spawning each: small searches cost
//!   no hand-over, and a long one yields every 256 candidates.
//! - `submit` waits for a place in the writer's queue rather than to answer busy: the number of
//!   requests under way is bounded per connection already.
//! - Refusals are answered after the commit of the group they were planned in, since they may
//!   rest on a neighbour's change.
//! - One line closes each operation, with connection, message id, code and time as fields; spans
//!   around every small search would cost a good part of it.
//! - Who has no right at all at a name gets the same answer whether it is there or not, and rights
//!   are decided before anything dear is done.
//! - Schema files and the demonstration data are also compiled in, so that the program runs alone.
//! - `caseless` folds case as RFC 4518 asks, `crc32fast` sums records, `rustix` asks the system for
//!   free space, file limits and its name, `indicatif` draws progress, `ldap3_lber` is the wire
//!   crate's own BER layer, `x509-parser` reads the names in client certificates that rustls has
//!   verified, `ppp` the headers of load balancers, whose networks `ipnet` compares.
//! - An import holds each record against the entry before it asks for anything (`cli/import`), since
//!   a source comes again every night and most of it is as it was. It goes over LDAP like any other
//!   client's writes. `csv` and `encoding_rs` read tables, `regex` cuts values out of cells.
//! - What a cascade of departments did is told by its mark (`directory/departments`), so that it is
//!   taken back and nothing else; there is no table beside the entries. `likeness` counts edits by
//!   `strsim`.
//! - Responses are encoded in `ldap/reply`: the wire crate knows neither every result code nor
//!   response controls of every kind.
//! - The command line has a small LDAP client (`ldap/client`), because the one at hand takes sets
//!   of values and would lose their order. For a directory downstream `ldap3` does, since sets are all
//!   that two servers can be equal in.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod access;
pub mod auth;
pub mod certs;
pub mod cli;
pub mod clock;
pub mod config;
pub mod directory;
pub mod dn;
pub mod entry;
pub mod export;
pub mod expression;
pub mod filter;
pub mod http;
pub mod ldap;
pub mod lifecycle;
pub mod likeness;
pub mod limits;
pub mod names;
pub mod provisioning;
pub mod reload;
pub mod schema;
pub mod server;
pub mod sesame;
pub mod store;
pub mod telemetry;
pub mod timer;
