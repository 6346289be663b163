//! Where values come from: flags, then `PRESENCED_*` in the environment, then the file of `--config`, then defaults. Only
//! text is found here; what it means is decided in [`super::settings`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::ConfigError;
use super::settings::{Kind, SETTINGS, Setting};

/// Prefix of the environment's variables.
const PREFIX: &str = "PRESENCED_";

/// Where a value was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nowhere.
    Default,
    /// In the file, on this line.
    File(PathBuf, usize),
    /// In this variable.
    Environment(String),
    /// On the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// A setting's value as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Typed {
    /// One text, or several for a list.
    pub(super) texts: Vec<String>,
    /// Where.
    pub(super) origin: Origin,
}

/// Everything that was typed.
#[derive(Debug)]
pub(super) struct Found {
    /// By the setting's name; what is missing has its default.
    pub(super) values: BTreeMap<&'static str, Typed>,
    /// The default of `--data-dir`.
    pub(super) home: Option<PathBuf>,
    /// `--print-config`.
    pub(super) is_print_config: bool,
}

/// What the command line asks for.
pub(super) enum Read {
    /// To run, or to show what it would run with.
    Values(Found),
    /// Help or version.
    Help(String),
}

pub(super) fn read(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &[(OsString, OsString)],
) -> Result<Read, ConfigError> {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => return Ok(Read::Help(error.render().to_string())),
        Err(error) => return Err(usage_error(&error)),
    };
    let mut values = BTreeMap::new();
    let variables = variables(environment)?;
    let file = matches
        .get_one::<OsString>("config")
        .cloned()
        .or_else(|| variables.config.clone());
    if let Some(path) = file {
        read_file(Path::new(&path), &mut values)?;
    }
    values.extend(variables.values);
    for setting in SETTINGS {
        if let Some(texts) = typed_as_flag(&matches, setting) {
            values.insert(
                setting.name,
                Typed {
                    texts,
                    origin: Origin::Flag,
                },
            );
        }
    }
    let home = default_data_dir(environment);
    Ok(Read::Values(Found {
        values,
        home,
        is_print_config: matches.get_flag("print-config"),
    }))
}

/// The command line, made from the settings.
fn command() -> Command {
    let config = Arg::new("config").long("config").value_name("FILE").value_parser(ValueParser::os_string()).help(
        "A TOML file with any of these settings, named as the flags without their dashes in front: `grace = \"5s\"` \
         [env: PRESENCED_CONFIG]",
    );
    let print = Arg::new("print-config")
        .long("print-config")
        .action(ArgAction::SetTrue)
        .help("Show every setting, its value and where that comes from, and end; secrets are not shown");
    let about =
        "Knows who is online, what state they chose and when they were last active, and tells everyone who watches.";
    let after = "Flags win over PRESENCED_* in the environment, those over the file of --config, that over the defaults.\n\
                 The variable of --ping-interval is PRESENCED_PING_INTERVAL. Lists are separated by commas.";
    Command::new("presenced")
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .after_help(after)
        .max_term_width(110)
        .arg(config)
        .args(SETTINGS.iter().map(flag))
        .arg(print)
}

fn flag(setting: &Setting) -> Arg {
    let default = match setting.default {
        "" => String::new(),
        default => format!(" [default: {default}]"),
    };
    let arg = Arg::new(setting.name)
        .long(setting.name)
        .help(format!("{}{default}", setting.help))
        .help_heading(setting.heading);
    match setting.kind {
        Kind::Switch => arg.action(ArgAction::SetTrue),
        // What begins with a dash is a bad value rather than an unknown flag.
        Kind::One => arg
            .value_name(setting.value)
            .action(ArgAction::Set)
            .allow_hyphen_values(true),
        Kind::Many => arg
            .value_name(setting.value)
            .action(ArgAction::Append)
            .num_args(1..)
            .value_delimiter(','),
    }
}

fn typed_as_flag(matches: &ArgMatches, setting: &Setting) -> Option<Vec<String>> {
    match setting.kind {
        Kind::Switch => matches.get_flag(setting.name).then(|| vec!["true".to_owned()]),
        Kind::One | Kind::Many => matches
            .get_many::<String>(setting.name)
            .map(|texts| texts.cloned().collect()),
    }
}

/// clap's first line says what is wrong; the rest is usage.
fn usage_error(error: &clap::Error) -> ConfigError {
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned();
    ConfigError(format!("{first} (see --help)"))
}

struct Variables {
    values: BTreeMap<&'static str, Typed>,
    config: Option<OsString>,
}

fn variables(environment: &[(OsString, OsString)]) -> Result<Variables, ConfigError> {
    let mut found = Variables {
        values: BTreeMap::new(),
        config: None,
    };
    for (name, value) in environment {
        let Some(key) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        if key == "CONFIG" {
            found.config = Some(value.clone());
            continue;
        }
        let name = format!("{PREFIX}{key}");
        let setting = SETTINGS.iter().find(|setting| variable_of(setting) == name);
        let setting = setting.ok_or_else(|| ConfigError(format!("{name} in the environment is no setting")))?;
        let value = value
            .to_str()
            .ok_or_else(|| ConfigError(format!("{name} in the environment is not UTF-8")))?;
        let texts = match setting.kind {
            Kind::Many => value
                .split(',')
                .map(|one| one.trim().to_owned())
                .filter(|one| !one.is_empty())
                .collect(),
            Kind::One | Kind::Switch => vec![value.to_owned()],
        };
        found.values.insert(
            setting.name,
            Typed {
                texts,
                origin: Origin::Environment(name),
            },
        );
    }
    Ok(found)
}

/// The variable of a setting.
pub(super) fn variable_of(setting: &Setting) -> String {
    format!("{PREFIX}{}", setting.name.replace('-', "_").to_ascii_uppercase())
}

fn read_file(path: &Path, values: &mut BTreeMap<&'static str, Typed>) -> Result<(), ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("can't read the configuration {}: {error}", path.display())))?;
    let line_of = |offset: usize| text.get(..offset).unwrap_or_default().matches('\n').count() + 1;
    let table = toml::de::DeTable::parse(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        ConfigError(format!(
            "{}:{line}: {}",
            path.display(),
            error.message().replace('\n', " ")
        ))
    })?;
    for (key, value) in table.into_inner() {
        let line = line_of(key.span().start);
        let name = key.into_inner();
        let setting = SETTINGS.iter().find(|setting| setting.name == name);
        let setting =
            setting.ok_or_else(|| ConfigError(format!("{}:{line}: {name:?} is no setting", path.display())))?;
        let texts = texts_of(value.into_inner(), setting.kind).ok_or_else(|| {
            ConfigError(format!(
                "{}:{line}: {name} has a value of the wrong kind",
                path.display()
            ))
        })?;
        values.insert(
            setting.name,
            Typed {
                texts,
                origin: Origin::File(path.to_owned(), line),
            },
        );
    }
    Ok(())
}

fn texts_of(value: toml::de::DeValue<'_>, kind: Kind) -> Option<Vec<String>> {
    use toml::de::DeValue;
    match (value, kind) {
        (DeValue::String(text), Kind::One | Kind::Many) => Some(vec![text.into_owned()]),
        (DeValue::Integer(number), Kind::One) => Some(vec![number.to_string()]),
        (DeValue::Boolean(is_on), Kind::Switch) => Some(vec![is_on.to_string()]),
        (DeValue::Array(items), Kind::Many) => items
            .into_iter()
            .map(|item| match item.into_inner() {
                DeValue::String(text) => Some(text.into_owned()),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

fn default_data_dir(environment: &[(OsString, OsString)]) -> Option<PathBuf> {
    let get = |name: &str| {
        let found = environment.iter().find(|(key, _)| key == OsStr::new(name));
        found
            .map(|(_, value)| PathBuf::from(value))
            .filter(|path| path.is_absolute())
    };
    let state = get("XDG_STATE_HOME").or_else(|| get("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("presenced"))
}
