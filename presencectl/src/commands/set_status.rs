//! `set-status`: sets a custom status and prints the status that results.

use presence::wire::record::Record;
use presence::{CustomStatus, Status, UserId};
use serde::Serialize;

use super::{Session, confirmation};
use crate::cli::SetStatus;
use crate::client::account::account_name;
use crate::client::discover::Credential;
use crate::failure::Failure;
use crate::output::escape::{escape, quote};
use crate::output::{Colour, HumanOutput, Report, records};

#[derive(Serialize)]
struct RecordDocument<'a> {
    user: &'a Record,
}

pub(super) async fn run(session: &mut Session, args: &SetStatus) -> Result<(), Failure> {
    let rest = session.rest()?;
    let user = match (
        args.positional.as_ref().or(args.user.as_ref()),
        &rest.target().credential,
    ) {
        (Some(user), _) => Some(user.clone()),
        // The token identifies the user.
        (None, Credential::Token { .. }) => None,
        (None, _) => Some(unnamed(session, args.status)?),
    };
    let record = rest.set_custom_status(user.as_ref(), args.status).await?;
    let text = sentence(&record, args.status, session.output.colour);
    let report = Report {
        document: RecordDocument { user: &record },
        items: std::slice::from_ref(&record),
        rows: records::rows(std::slice::from_ref(&record)),
        human: HumanOutput::Text(text),
    };
    session.output.show(crate::clock::wall(), &report)
}

/// The context's user, else this account if the operator says so: an operator mostly means somebody else.
fn unnamed(session: &Session, status: CustomStatus) -> Result<UserId, Failure> {
    let as_id = |name: &str| UserId::new(name).map_err(|why| Failure::usage(format_args!("{}: {why}", quote(name))));
    if let Some(name) = session.finder.user()? {
        return as_id(&name);
    }
    let nobody = || Failure::usage("no user is named").next(format_args!("presencectl set-status USER {status}"));
    let name = account_name()
        .filter(|_| confirmation::is_possible())
        .ok_or_else(nobody)?;
    let user = as_id(&name)?;
    confirmation::ask(&format!(
        "No user is named. Set the custom status of this account, {}?",
        quote(&name)
    ))?;
    Ok(user)
}

/// The resulting status, and the reason if it differs from the custom status.
fn sentence(record: &Record, custom_status: CustomStatus, colour: Colour) -> String {
    let user = escape(record.user_id.as_str());
    let shown = colour.status(record.status);
    match record.status {
        Status::Offline => {
            let later = colour.status(as_status(custom_status));
            let unseen = if record.last_seen.is_none() {
                " and was never seen"
            } else {
                ""
            };
            format!("{user} is {shown}{unseen}; it will be shown as {later} once connected\n")
        }
        status if status == as_status(custom_status) => format!("{user} is shown as {shown}\n"),
        _ => {
            let why = record.reason.map(presence::Reason::as_str).unwrap_or("its sessions");
            format!(
                "custom status set to {custom_status}, but {user} is shown as {shown} ({why}); see `presencectl explain`\n"
            )
        }
    }
}

const fn as_status(custom_status: CustomStatus) -> Status {
    match custom_status {
        CustomStatus::Online => Status::Online,
        CustomStatus::Idle => Status::Idle,
        CustomStatus::DoNotDisturb => Status::DoNotDisturb,
    }
}

#[cfg(test)]
mod tests {
    use presence::wire::record::Viewer;

    use super::*;

    #[test]
    fn the_sentence_has_the_current_or_the_future_status() {
        let mut record = Record::never_seen(UserId::new("alice").unwrap(), Viewer::Internal);
        let text = |record: &Record, custom_status| sentence(record, custom_status, Colour::Plain);
        assert_eq!(
            text(&record, CustomStatus::Idle),
            "alice is OFFLINE and was never seen; it will be shown as IDLE once connected\n"
        );
        record.last_seen = Some(presence::Wall::from_millis(1));
        assert_eq!(
            text(&record, CustomStatus::Idle),
            "alice is OFFLINE; it will be shown as IDLE once connected\n"
        );
        record.status = Status::DoNotDisturb;
        assert_eq!(
            text(&record, CustomStatus::DoNotDisturb),
            "alice is shown as DO_NOT_DISTURB\n"
        );
        record.status = Status::Idle;
        record.reason = Some(presence::Reason::Inactive);
        assert!(text(&record, CustomStatus::Online).contains("alice is shown as IDLE (inactive)"));
    }
}
