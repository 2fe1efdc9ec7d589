//! How one maker's servers want to be spoken to: forms, limits and habits, by the name of a profile.
//! Sends nothing.

use serde::Deserialize;

/// The servers that are known by name. What they announce narrows a profile, single keys of the
/// target's file override it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileName {
    /// By RFC 7643 and RFC 7644, whoever made it.
    #[default]
    Rfc,
    Qualytics,
    /// Entra ID as a receiver.
    Entra,
    /// AWS IAM Identity Center.
    Aws,
    Slack,
    PutOnly,
}

/// How changes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Update {
    /// PATCH, and PUT where the target does not know the form of a PATCH.
    #[default]
    Patch,
    Put,
}

/// How the operations of a PATCH are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PatchForm {
    /// All operations in one request, each with its path.
    #[default]
    Whole,
    /// Each operation in a request of its own.
    Single,
    /// Values without paths, in one operation; a removal still needs its path
    /// (RFC 7644 section 3.5.2.2).
    Pathless,
}

/// How a member leaves a group. No form is taken everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Removal {
    /// `members[value eq "id"]` (RFC 7644 section 3.5.2.2).
    #[default]
    Rfc,
    /// Path `members` and a list of values.
    Entra,
    /// The whole group.
    Put,
}

/// What becomes of a user's account that is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Remove {
    #[default]
    Delete,
    /// It stays, with `active` false.
    Deactivate,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub update: Update,
    pub patch: PatchForm,
    pub members: Removal,
    pub remove: Remove,
    /// Members in one request.
    pub chunk: usize,
    /// Whether PUT is known: what PATCH cannot do is given up where it is not.
    pub put: bool,
    /// Whether If-Match is sent where ETags are announced.
    pub etag: bool,
    /// Whether an update that was answered without a body is read back.
    pub verify: bool,
    /// At most one e-mail address, one phone number and one address.
    pub one_of_each: bool,
    /// Whether a group says who its members are.
    pub members_readable: bool,
    /// Whether 400 may mean that there is no such object.
    pub unknown_id_is_400: bool,
    /// Whether Accept is sent with a DELETE.
    pub accept_on_delete: bool,
}

impl Profile {
    pub fn of(name: ProfileName) -> Self {
        let rfc = Profile {
            update: Update::Patch,
            patch: PatchForm::Whole,
            members: Removal::Rfc,
            remove: Remove::Delete,
            chunk: CHUNK,
            put: true,
            etag: true,
            verify: false,
            one_of_each: false,
            members_readable: true,
            unknown_id_is_400: false,
            accept_on_delete: true,
        };
        match name {
            ProfileName::Rfc => rfc,
            // Documented for clients of the kind of Entra and Okta, which send no If-Match.
            ProfileName::Qualytics => Profile { etag: false, verify: true, ..rfc },
            // No PUT (405), PATCH answers 204, an unknown id is 400, DELETE refuses an Accept header.
            ProfileName::Entra => Profile {
                put: false,
                etag: false,
                verify: true,
                unknown_id_is_400: true,
                accept_on_delete: false,
                ..rfc
            },
            // Developer guide: no Bulk, one value of each kind, userName or active alone in a PATCH, at
            // most 100 members in a request, members neither replaced nor shown.
            ProfileName::Aws => Profile {
                patch: PatchForm::Single,
                members: Removal::Entra,
                etag: false,
                one_of_each: true,
                members_readable: false,
                ..rfc
            },
            // Accounts are never deleted there, only deactivated.
            ProfileName::Slack => Profile { remove: Remove::Deactivate, etag: false, verify: true, ..rfc },
            ProfileName::PutOnly => Profile { update: Update::Put, members: Removal::Put, ..rfc },
        }
    }
}

/// Members that every known target takes in one request.
const CHUNK: usize = 100;
