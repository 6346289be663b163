//! `kick`: ends all sessions of a user, after a confirmation.

use super::{Session, confirmation, ended_sessions, never_seen};
use crate::cli::Confirmed;
use crate::failure::Failure;
use crate::output::escape::{escape, quote};

pub(super) async fn run(session: &mut Session, args: &Confirmed) -> Result<(), Failure> {
    let rest = session.rest()?;
    confirmation::check_possible(args)?;
    if !args.ignore_unknown {
        never_seen::check(&rest, &args.user, "nothing was done").await?;
    }
    let user = quote(args.user.as_str());
    confirmation::confirm(args, &format!("End all sessions of {user}?"))?;
    let ended = rest.kick(&args.user).await?.ended;
    let text = match ended {
        // A kick ends the grace period too, although that is not a session.
        0 => format!(
            "{} is OFFLINE; there was no session, and no grace period remains\n",
            escape(args.user.as_str())
        ),
        ended => format!(
            "{} is OFFLINE; {} ended\n",
            escape(args.user.as_str()),
            ended_sessions::counted(ended)
        ),
    };
    ended_sessions::show(session, args, ended, text)
}
