//! `set-status`: sets a choice and says what others now see.

use presence::wire::record::Record;
use presence::{CustomStatus, Status, UserId};
use serde::Serialize;

use super::Session;
use crate::cli::SetStatus;
use crate::client::discover::Credential;
use crate::failure::Failure;
use crate::output::escape::{escape, quote};
use crate::output::{Colour, HumanOutput, Report, records};

#[derive(Serialize)]
struct RecordDocument<'a> {
    user: &'a Record,
}

/// Sets it.
pub(super) async fn run(session: &mut Session, args: &SetStatus) -> Result<(), Failure> {
    let rest = session.rest()?;
    let user = match (&args.user, &rest.target().credential) {
        (Some(user), _) => Some(user.clone()),
        // The token says who it is.
        (None, Credential::Token { .. }) => None,
        (None, _) => {
            let name = session.finder.user()?;
            Some(
                UserId::new(&name)
                    .map_err(|why| Failure::usage(format_args!("{}: {why}", quote(&name))).next("use --user USER"))?,
            )
        }
    };
    let record = rest.set_custom_status(user.as_ref(), args.status).await?;
    let text = sentence(&record, args.status, session.output.colour);
    let report = Report {
        document: RecordDocument { user: &record },
        items: std::slice::from_ref(&record),
        dataset: records::dataset(std::slice::from_ref(&record)),
        human: HumanOutput::Text(text),
    };
    session.output.show(crate::clock::wall(), &report)
}

/// What others now see, and if that isn't what was chosen, why.
fn sentence(record: &Record, choice: CustomStatus, colour: Colour) -> String {
    let user = escape(record.user_id.as_str());
    let shown = colour.status(record.status);
    match record.status {
        Status::Offline => {
            let later = colour.status(as_status(choice));
            format!("{user} is {shown}; others will see {later} once {user} is here\n")
        }
        status if status == as_status(choice) => format!("others now see {user} as {shown}\n"),
        _ => {
            let why = record.reason.map(presence::Reason::as_str).unwrap_or("the sessions");
            format!("{user} chose {choice}; others see {shown} for now ({why}); `presencectl explain` says more\n")
        }
    }
}

const fn as_status(choice: CustomStatus) -> Status {
    match choice {
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
    fn the_sentence_says_what_others_see_now_or_later() {
        let mut record = Record::never_seen(UserId::new("alice").unwrap(), Viewer::Internal);
        let say = |record: &Record, choice| sentence(record, choice, Colour::Plain);
        assert_eq!(
            say(&record, CustomStatus::Idle),
            "alice is OFFLINE; others will see IDLE once alice is here\n"
        );
        record.status = Status::DoNotDisturb;
        assert_eq!(
            say(&record, CustomStatus::DoNotDisturb),
            "others now see alice as DO_NOT_DISTURB\n"
        );
        record.status = Status::Idle;
        record.reason = Some(presence::Reason::Inactive);
        assert!(say(&record, CustomStatus::Online).contains("others see IDLE for now (inactive)"));
    }
}
