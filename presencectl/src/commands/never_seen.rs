//! Users of whom the service knows nothing: mostly a mistyped id, so commands that name one fail, unless
//! `--ignore-unknown` was given.

use presence::wire::record::Record;
use presence::{CustomStatus, Status, UserId};

use crate::client::rest::Rest;
use crate::failure::{Exit, Failure};
use crate::output::escape::quote;

/// More ids than this are counted, not named.
const NAMED_MAX: usize = 10;

/// Whether a record has nothing that was ever told or set. A record made without the store's answer is no evidence.
pub(super) fn is_empty(record: &Record) -> bool {
    let times = [record.since, record.last_seen, record.last_active];
    record.status == Status::Offline
        && !record.degraded
        && times.iter().all(Option::is_none)
        && record
            .custom_status
            .is_none_or(|custom_status| custom_status == CustomStatus::Online)
}

/// Fails if the service knows nothing of the user. A daemon that can't tell does not keep the command from trying.
pub(super) async fn check(rest: &Rest, user: &UserId, consequence: &str) -> Result<(), Failure> {
    match is_unknown(rest, user).await {
        Ok(true) => Err(failure(&[user], 1).but(consequence)),
        Ok(false) => Ok(()),
        Err(failure) if failure.exit() == Some(Exit::Failed) => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// Whether the user has neither a record nor a custom status nor revoked tokens; a custom status that was set to ONLINE is in the
/// explanation alone.
pub(super) async fn is_unknown(rest: &Rest, user: &UserId) -> Result<bool, Failure> {
    let answer = rest.query(std::slice::from_ref(user)).await?;
    if !answer.users.first().is_some_and(is_empty) {
        return Ok(false);
    }
    let explain = rest.explain(user).await?;
    Ok(explain.choice.set_at.is_none() && explain.tokens_revoked_before.is_none())
}

/// Names the users that were never seen, of all that were named.
pub(super) fn failure(users: &[&UserId], named: usize) -> Failure {
    let names: Vec<_> = users.iter().take(NAMED_MAX).map(|user| quote(user.as_str())).collect();
    let more = match users.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = match (users.len(), named) {
        (1, 1) => format!("{} was never seen", names.concat()),
        (unseen, named) => format!("{unseen} of {named} users were never seen: {}{more}", names.join(", ")),
    };
    Failure::failed(message)
        .next("check the spelling: ids are compared byte for byte. --ignore-unknown makes this no error")
}

#[cfg(test)]
mod tests {
    use presence::Wall;
    use presence::wire::record::Viewer;

    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    #[test]
    fn a_record_with_anything_in_it_is_of_a_known_user() {
        let empty = Record::never_seen(user("alice"), Viewer::Internal);
        assert!(is_empty(&empty));
        assert!(is_empty(&Record::never_seen(user("alice"), Viewer::Public)));
        let at = Some(Wall::from_millis(1));
        for known in [
            Record {
                status: Status::Online,
                ..empty.clone()
            },
            Record {
                since: at,
                ..empty.clone()
            },
            Record {
                last_seen: at,
                ..empty.clone()
            },
            Record {
                last_active: at,
                ..empty.clone()
            },
            Record {
                custom_status: Some(CustomStatus::Idle),
                ..empty.clone()
            },
            Record {
                degraded: true,
                ..empty
            },
        ] {
            assert!(!is_empty(&known), "{known:?}");
        }
    }

    #[test]
    fn the_message_names_some_users_and_counts_the_rest() {
        let users: Vec<_> = (0..12).map(|n| user(&format!("u{n}\u{202e}"))).collect();
        let report = |count: usize, named| failure(&users.iter().take(count).collect::<Vec<_>>(), named).report();
        assert!(
            report(1, 1).starts_with("presencectl: \"u0\\u{202e}\" was never seen\n"),
            "{}",
            report(1, 1)
        );
        assert!(report(2, 3).contains("2 of 3 users were never seen: \"u0\\u{202e}\", \"u1\\u{202e}\"\n"));
        assert!(
            report(12, 12).contains("\"u9\\u{202e}\" and 2 more\n"),
            "{}",
            report(12, 12)
        );
    }
}
