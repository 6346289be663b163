//! `presenced import`: its command line. It has flags of its own, and reads neither the settings nor their file.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgMatches, Command, ValueHint};

use super::ConfigError;
use super::Database;
use super::settings::{PASSWORD_FILE_VARIABLE, database};
use crate::postgres_url::PostgresUrl;

/// The name of the subcommand.
pub(super) const NAME: &str = "import";

const USAGE: &str = "presenced import --from sqlite:FILE --to postgres://USER@HOST/DATABASE";

/// What is to be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImportCommand {
    /// The SQLite file.
    pub(crate) from: PathBuf,
    /// The PostgreSQL database.
    pub(crate) to: Box<PostgresUrl>,
    /// The file with its password, if one is needed.
    pub(crate) password_file: Option<PathBuf>,
}

pub(super) fn command() -> Command {
    let from = Arg::new("from")
        .long("from")
        .value_name("sqlite:FILE")
        .value_hint(ValueHint::Other)
        .help("The database to copy: presence.db in the data directory. No daemon may use it meanwhile");
    let to = Arg::new("to")
        .long("to")
        .value_name("URL")
        .value_hint(ValueHint::Other)
        .help("The database to copy into, as --database has it: postgres://USER@HOST/DATABASE. It must be empty, or have a part of this import");
    let password = Arg::new("password-file")
        .long("database-password-file")
        .value_name("FILE")
        .value_parser(ValueParser::os_string())
        .value_hint(ValueHint::FilePath)
        .help("File with the password for --to [env: PRESENCED_DATABASE_PASSWORD_FILE]");
    let about =
        "Copy an SQLite database into a PostgreSQL database, before the first start with --database postgres://…";
    let after = "Run it again if it was interrupted: it goes on where it was. The file stays as it is, but for being brought up to \
                 date if an older version made it, as by a start. On stdout is a report, on stderr the progress.\n\n\
                 presenced import --from sqlite:/var/lib/presenced/presence.db --to postgres://presence@db.example.org/presence";
    Command::new(NAME)
        .about(about)
        .override_usage(USAGE)
        .after_help(after)
        .args([from, to, password])
}

pub(super) fn parse(matches: &ArgMatches, environment: &[(OsString, OsString)]) -> Result<ImportCommand, ConfigError> {
    let of = |flag: &str| -> Result<Database, ConfigError> {
        let text = matches.get_one::<String>(flag).cloned();
        let text = text.ok_or_else(|| ConfigError(format!("--{flag} is missing: {USAGE} (see --help)")))?;
        let shown = PostgresUrl::shown(&text).to_owned();
        let found = database(&[text]).map_err(|what| ConfigError(format!("--{flag} {shown:?}: {what}")))?;
        found.ok_or_else(|| ConfigError(format!("--{flag} is empty (see --help)")))
    };
    let fail = |text: &str| Err(ConfigError(text.into()));
    let from = match of("from")? {
        Database::Sqlite(path) => path,
        Database::Postgres(_) => {
            return fail("--from must be sqlite:FILE: between two PostgreSQL databases use pg_dump and pg_restore");
        }
    };
    let to = match of("to")? {
        Database::Postgres(url) => url,
        Database::Sqlite(_) => return fail("--to must be postgres://[USER@]HOST[:PORT]/DATABASE"),
    };
    let in_environment = || {
        let found = environment.iter().find(|(name, _)| name == PASSWORD_FILE_VARIABLE);
        found.map(|(_, file)| file)
    };
    let password_file = matches.get_one::<OsString>("password-file").or_else(in_environment);
    Ok(ImportCommand {
        from,
        to,
        password_file: password_file.map(PathBuf::from),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, load};
    use super::*;

    const FROM: [&str; 2] = ["--from", "sqlite:/a/presence.db"];
    const TO: [&str; 2] = ["--to", "postgres://ann@db/presence"];

    fn parsed(arguments: &[&str], environment: &[(&str, &str)]) -> Result<ImportCommand, String> {
        let arguments = ["presenced", NAME].iter().chain(arguments).map(OsString::from);
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        match load(arguments, environment) {
            Ok(Outcome::Import(command)) => Ok(command),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn an_import_has_its_databases_and_password_file() {
        let both = [FROM, TO].concat();
        let command = parsed(&both, &[]).expect("a command");
        assert_eq!(command.from, PathBuf::from("/a/presence.db"));
        assert_eq!(command.to.name, "PostgreSQL at db:5432, database \"presence\"");
        assert_eq!(command.password_file, None);
        let environment = [(PASSWORD_FILE_VARIABLE, "/of-environment")];
        let command = parsed(&both, &environment).expect("a command");
        assert_eq!(command.password_file, Some(PathBuf::from("/of-environment")));
        let flag = ["--database-password-file", "/of-flag"];
        let command = parsed(&[&both[..], &flag].concat(), &environment).expect("a command");
        assert_eq!(command.password_file, Some(PathBuf::from("/of-flag")));
    }

    #[test]
    fn the_man_page_leads_to_the_help_of_an_import() {
        let arguments = ["presenced", "--man"].map(OsString::from);
        let Ok(Outcome::Print(page)) = load(arguments, [(OsString::from("HOME"), OsString::from("/"))]) else {
            panic!("no page");
        };
        assert!(page.contains("presenced import \\-\\-help") && !page.contains("import(1)"));
    }

    #[test]
    fn an_error_of_the_command_line_names_what_is_wrong_in_one_line() {
        let cases: [(&[&str], &str); 6] = [
            (&[], "--from is missing: presenced import --from"),
            (&FROM, "--to is missing"),
            (
                &["--from", "/a/presence.db"],
                "--from \"/a/presence.db\": expected sqlite:FILE",
            ),
            (&["--from", "postgres://ann@db/p"], "pg_dump"),
            (
                &["--from", "sqlite:/a", "--to", "sqlite:/b"],
                "--to must be postgres://",
            ),
            (
                &["--from", "sqlite:/a", "--to", "postgres://ann:hunter2@db/p"],
                "--database-password-file",
            ),
        ];
        for (arguments, part) in cases {
            let error = parsed(arguments, &[]).expect_err(part);
            assert!(
                error.contains(part) && !error.contains('\n') && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
