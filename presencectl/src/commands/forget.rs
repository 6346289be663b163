//! `forget`: deletes a user with its record and custom status, after a confirmation.

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
    confirmation::confirm(
        args,
        &format!("Delete {user} with its record and custom status? This can't be undone."),
    )?;
    let ended = rest.forget(&args.user).await?.ended;
    let text = format!(
        "{} is forgotten; {} ended\n",
        escape(args.user.as_str()),
        ended_sessions::counted(ended)
    );
    ended_sessions::show(session, args, ended, text)
}
