//! What is said about targets by those who export to them, and asked by those who look after them:
//! status, accounts, commands. Words only; the work is done in `export`.

use crate::clock::Timestamp;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

/// One target as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetStatus {
    pub name: String,
    pub kind: &'static str,
    pub enabled: bool,
    /// All journal records up to this one are settled.
    pub cursor: u64,
    /// The newest journal record.
    pub head: u64,
    pub lag: u64,
    /// Objects that wait or are under way, those that wait after a failure included.
    pub pending: usize,
    /// Objects whose last attempt failed.
    pub failed: usize,
    /// Of those, the ones that are tried seldom, because they have failed too often.
    pub quarantined: usize,
    /// Removals that wait for somebody to approve them.
    pub staged: usize,
    /// Objects that the target is known to hold.
    pub linked: usize,
    pub last_success: Option<String>,
    pub last_error: Option<String>,
    pub state: State,
}

/// Whether requests are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Running,
    /// Why not, and when it goes on if it does so by itself.
    Stopped(String),
}

/// What an operator has decided about a target; it outlives restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    #[default]
    Run,
    /// Nothing is sent; what changes is gathered.
    Pause,
    /// As `Pause`, and the target's word on identities is not waited for.
    Disable,
    /// Nothing is sent any more and nothing is kept: the links are forgotten.
    Retire,
}

/// One account: what a target holds of one identity (or group, or structure).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    pub target: String,
    pub resource: &'static str,
    pub status: AccountStatus,
    pub mechanism: Option<Mechanism>,
    /// Since when the account is known to be there.
    #[serde(serialize_with = "as_text")]
    pub since: Option<Timestamp>,
    /// When the target has taken something of it last.
    #[serde(serialize_with = "as_text")]
    pub updated: Option<Timestamp>,
    /// By what the target knows it.
    pub remote_id: Option<String>,
    /// Why it is as it is: the last error, or what is waited for.
    pub why: Option<String>,
    #[serde(serialize_with = "as_text")]
    pub next_attempt: Option<Timestamp>,
}

fn as_text<S: Serializer>(time: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.to_string()).serialize(to)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountStatus {
    /// There, and as it should be when it was last looked at.
    Provisioned,
    /// On its way.
    Pending,
    /// The target has refused it, or cannot be reached.
    Failed,
    /// There, and closed: `active` is false.
    Suspended,
}

/// How an account came to be linked with its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mechanism {
    /// Made by us.
    Provisioning,
    /// It was there; the adopt policy let it become ours.
    Adoption,
    /// Found by a reconciliation.
    #[serde(rename = "Connected Reconciliation")]
    Reconciliation,
}

/// What can be asked of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run, pause, disable or retire, and why.
    Wish { wish: Wish, why: String },
    /// Lets the staged removals go.
    Approve,
    /// Keeps the objects of the staged removals at the target until they change again.
    Reject,
    /// Tries failed objects now, one or all.
    Retry { object: Option<Uuid> },
    /// Looks again at all that changed since this journal record; `None`: at everything.
    Replay { since: Option<u64> },
    /// The link of one object, in full.
    Show { object: Uuid },
    /// Sends one object now, whether it is due or not; or says what would be sent.
    Push { object: Uuid, dry_run: bool },
    /// Compares everything at the target with the directory.
    Reconcile(Reconcile),
    /// One reconciliation (its header and events), or all headers.
    Reconciliation { batch: Option<Uuid>, skip: usize, most: usize },
    /// The newest lines of the provisioning log.
    Log { object: Option<Uuid>, most: usize },
}

/// How to reconcile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Reconcile {
    pub dry_run: bool,
    /// An LDAP filter: only entries that match it, and what the target has of them.
    pub scope: Option<String>,
    /// Repairs what differs, in the direction that the mapping says.
    pub repair: bool,
    /// Removes from the target what nobody here has, through the guard of removals.
    pub repair_orphans: bool,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("no such target")]
    NoSuchTarget,
    #[error("the target knows nothing of this object")]
    NoSuchObject,
    #[error("no such reconciliation")]
    NoSuchBatch,
    /// It cannot be done now, or not for a target of this kind.
    #[error("{0}")]
    NotNow(String),
    /// It is no sensible question.
    #[error("{0}")]
    Bad(String),
    #[error("internal: {0}")]
    Internal(String),
}

/// Everyone's way to the targets.
pub trait Provisioning: Send + Sync {
    fn status(&self) -> Vec<TargetStatus>;

    /// The accounts of one entry, by target name.
    fn accounts(&self, object: Uuid) -> Vec<Account>;

    fn ask(&self, target: &str, command: Command) -> BoxFuture<'static, Result<Value, Refusal>>;
}
