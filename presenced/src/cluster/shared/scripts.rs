//! The scripts that Redis runs, one for each kind of call, and their arguments. Each script's header says what its keys,
//! arguments and answers are.

use presence::replication::{Call, Caller, ENDS_KEPT, Listed, Listing, PAGE_FIELDS, UserOffer};

use super::keys::{Keys, LOG_ENTRIES};

/// One of the scripts that change a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Register,
    Offer,
    Note,
    List,
}

impl Script {
    pub(super) const ALL: [Self; 4] = [Self::Register, Self::Offer, Self::Note, Self::List];

    /// The source that Redis is given.
    pub(super) const fn source(self) -> &'static str {
        match self {
            Self::Register => include_str!("scripts/register.lua"),
            Self::Offer => include_str!("scripts/offer.lua"),
            Self::Note => include_str!("scripts/note.lua"),
            Self::List => include_str!("scripts/list.lua"),
        }
    }
}

/// One run of a script: which, its keys and its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ScriptRun<'a> {
    pub(super) script: Script,
    pub(super) keys: Vec<&'a str>,
    pub(super) arguments: Vec<Vec<u8>>,
}

impl<'a> ScriptRun<'a> {
    /// The script that does what is called for.
    pub(super) fn of(call: &Call, keys: &'a Keys) -> Self {
        match call {
            Call::Register {
                caller,
                node,
                new_epoch,
                floor,
            } => Self {
                script: Script::Register,
                keys: vec![&keys.state, &keys.log],
                arguments: vec![
                    text(caller.incarnation),
                    text(caller.connection.0),
                    node.clone(),
                    text(format_args!("{new_epoch:016x}")),
                    text(floor.get()),
                    text(LOG_ENTRIES),
                ],
            },
            Call::Offer { caller, users } => {
                let mut arguments = head(caller);
                for offer in users {
                    arguments.extend(of_offer(offer));
                }
                Self {
                    script: Script::Offer,
                    keys: vec![
                        &keys.state,
                        &keys.log,
                        &keys.online,
                        &keys.custom_status,
                        &keys.new_custom_status,
                    ],
                    arguments,
                }
            }
            Call::List { caller, listing } => Self::list(keys, caller, listing),
            Call::Tick { caller, content } => Self::note(keys, caller, "tick", [content.clone()]),
            Call::End { caller, ended, grace } => {
                let arguments = [text(ended), text(grace.as_millis()), text(ENDS_KEPT)];
                Self::note(keys, caller, "ended", arguments)
            }
            Call::Drop { caller, users } => {
                let users = users.iter();
                let of_users = users.flat_map(|(user, revision)| [text(user.as_str()), digits(revision.get())]);
                Self::note(keys, caller, "dropped", of_users)
            }
        }
    }

    fn note(keys: &'a Keys, caller: &Caller, kind: &str, rest: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut arguments = head(caller);
        arguments.push(text(kind));
        arguments.extend(rest);
        Self {
            script: Script::Note,
            keys: vec![&keys.state, &keys.log, &keys.online, &keys.custom_status],
            arguments,
        }
    }

    fn list(keys: &'a Keys, caller: &Caller, listing: &Listing) -> Self {
        let mut arguments = vec![text(caller.incarnation), text(caller.connection.0)];
        match listing {
            Listing::Present(users) => {
                arguments.push(text("present"));
                for (user, revision, is_present) in users {
                    let presence = text(if *is_present { "P" } else { "A" });
                    arguments.extend([text(user.as_str()), digits(revision.get()), presence]);
                }
            }
            Listing::Strangers { place } => {
                arguments.extend([text("strangers"), text(place), text(PAGE_FIELDS)]);
            }
            Listing::Begin => arguments.push(text("begin")),
            Listing::Custom { read_to, users } => {
                arguments.extend([text("custom"), text(read_to.get())]);
                for (user, base, custom) in users {
                    let base = base.map(|base| digits(base.get())).unwrap_or_default();
                    arguments.extend([text(user.as_str()), base, text(custom.as_str())]);
                }
            }
            Listing::Complete => arguments.push(text("complete")),
        }
        Self {
            script: Script::List,
            keys: vec![&keys.state, &keys.online, &keys.custom_status, &keys.new_custom_status],
            arguments,
        }
    }
}

/// What every call but a registration begins with.
fn head(caller: &Caller) -> Vec<Vec<u8>> {
    vec![text(caller.incarnation), text(caller.connection.0), text(LOG_ENTRIES)]
}

fn of_offer(offer: &UserOffer) -> [Vec<u8>; 6] {
    let listed = match offer.listed {
        Listed::Keep => "",
        Listed::Remove => "-",
        Listed::Set(custom) => custom.as_str(),
    };
    [
        text(offer.user.as_str()),
        offer.base.map(|base| digits(base.get())).unwrap_or_default(),
        text(offer.floor.get()),
        text(if offer.is_present { "P" } else { "A" }),
        text(listed),
        offer.state.clone(),
    ]
}

/// A revision as it stands before a stored state: 16 digits, so that it can be compared as text.
fn digits(revision: u64) -> Vec<u8> {
    text(format_args!("{revision:016}"))
}

fn text(value: impl std::fmt::Display) -> Vec<u8> {
    value.to_string().into_bytes()
}
