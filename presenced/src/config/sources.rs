//! Reads the sources of settings: flags, then `PRESENCED_*` in the environment, then the file of `--config`, then defaults.
//! Only text is collected here; [`super::settings`] parses it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};
use clap_complete::Shell;

use super::settings::{Kind, SETTINGS, Setting};
use super::suggestion::similar;
use super::{ConfigError, ImportCommand, documents, import};

/// Prefix of the environment variables.
const PREFIX: &str = "PRESENCED_";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ValueSource {
    Default,
    /// A line of the file.
    File(PathBuf, usize),
    /// An environment variable.
    Environment(String),
    Flag,
}

impl fmt::Display for ValueSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// A setting's value, not yet parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawSetting {
    /// One text, or several for a list.
    pub(super) texts: Vec<String>,
    pub(super) source: ValueSource,
}

/// All values that were given.
#[derive(Debug)]
pub(super) struct RawSettings {
    /// By the setting's name; a missing one has its default.
    pub(super) values: BTreeMap<&'static str, RawSetting>,
    /// The default of `--data-dir`.
    pub(super) home: Option<PathBuf>,
    /// `--print-config`.
    pub(super) is_print_config: bool,
}

/// What the command line requests.
pub(super) enum CommandLine {
    /// To run, or to print the configuration.
    Values(RawSettings),
    /// To copy a database into another one.
    Import(ImportCommand),
    /// To print this: help, version, completions or the man page.
    Text(String),
}

pub(super) fn read(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &[(OsString, OsString)],
) -> Result<CommandLine, ConfigError> {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => return Ok(CommandLine::Text(error.render().to_string())),
        Err(error) => return Err(usage_error(&error)),
    };
    if let Some((import::NAME, matches)) = matches.subcommand() {
        return import::parse(matches, environment).map(CommandLine::Import);
    }
    if let Some(shell) = matches.get_one::<Shell>("completions") {
        return Ok(CommandLine::Text(documents::completions(command(), *shell)));
    }
    if matches.get_flag("man") {
        return documents::man_page(command()).map(CommandLine::Text);
    }
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
        if let Some(texts) = flag_values(&matches, setting) {
            values.insert(
                setting.name,
                RawSetting {
                    texts,
                    source: ValueSource::Flag,
                },
            );
        }
    }
    let home = default_data_dir(environment);
    Ok(CommandLine::Values(RawSettings {
        values,
        home,
        is_print_config: matches.get_flag("print-config"),
    }))
}

/// The command line, made from the settings.
fn command() -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(ValueParser::os_string())
        .value_hint(ValueHint::FilePath)
        .help(
            "TOML file with settings, each named like its flag without the leading dashes: `grace = \"5s\"` \
         [env: PRESENCED_CONFIG]",
        );
    let print = Arg::new("print-config")
        .long("print-config")
        .action(ArgAction::SetTrue)
        .help("Print every setting with its value and source, and exit; secrets are not printed");
    let completions = Arg::new("completions")
        .long("completions")
        .value_name("SHELL")
        .value_parser(value_parser!(Shell))
        .help("Print the completion script of a shell, and exit");
    let man = Arg::new("man")
        .long("man")
        .action(ArgAction::SetTrue)
        .help("Print the man page, and exit: presenced --man | man -l -");
    let about = "Presence server: tracks which users are online, their status and when they were last active, and notifies watchers.";
    let after = "Flags override PRESENCED_* environment variables, which override the file of --config, which overrides the defaults.\n\
                 The variable of --ping-interval is PRESENCED_PING_INTERVAL. Lists are separated by commas.";
    Command::new("presenced")
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .after_help(after)
        .max_term_width(110)
        .arg(config)
        .args(SETTINGS.iter().map(flag))
        .args([print, completions, man])
        .subcommand(import::command())
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
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
        // A value with a leading dash is an invalid value and not an unknown flag.
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

fn flag_values(matches: &ArgMatches, setting: &Setting) -> Option<Vec<String>> {
    match setting.kind {
        Kind::Switch => matches.get_flag(setting.name).then(|| vec!["true".to_owned()]),
        Kind::One | Kind::Many => matches
            .get_many::<String>(setting.name)
            .map(|texts| texts.cloned().collect()),
    }
}

/// The first line of clap's error with its tip; the rest is usage.
fn usage_error(error: &clap::Error) -> ConfigError {
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned();
    let tip = lines
        .find_map(|line| line.strip_prefix("tip: "))
        .filter(|tip| tip.contains("similar"));
    let tip = tip.map(|tip| format!("; {tip}")).unwrap_or_default();
    ConfigError(format!("{first}{tip} (see --help)"))
}

struct Variables {
    values: BTreeMap<&'static str, RawSetting>,
    config: Option<OsString>,
}

fn variables(environment: &[(OsString, OsString)]) -> Result<Variables, ConfigError> {
    let mut variables = Variables {
        values: BTreeMap::new(),
        config: None,
    };
    for (name, value) in environment {
        let Some(key) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        if key == "CONFIG" {
            variables.config = Some(value.clone());
            continue;
        }
        let name = format!("{PREFIX}{key}");
        let setting = SETTINGS.iter().find(|setting| variable_of(setting) == name);
        let setting = setting.ok_or_else(|| {
            let names: Vec<String> = SETTINGS.iter().map(variable_of).collect();
            let tip = similar(&name, names.iter().map(String::as_str));
            ConfigError(format!(
                "unknown environment variable {name}: no setting has this name{tip} (see --help)"
            ))
        })?;
        let value = value
            .to_str()
            .ok_or_else(|| ConfigError(format!("environment variable {name} is not UTF-8")))?;
        let texts = match setting.kind {
            Kind::Many => value
                .split(',')
                .map(|one| one.trim().to_owned())
                .filter(|one| !one.is_empty())
                .collect(),
            Kind::One | Kind::Switch => vec![value.to_owned()],
        };
        variables.values.insert(
            setting.name,
            RawSetting {
                texts,
                source: ValueSource::Environment(name),
            },
        );
    }
    Ok(variables)
}

/// The name of a setting's environment variable.
pub(super) fn variable_of(setting: &Setting) -> String {
    format!("{PREFIX}{}", setting.name.replace('-', "_").to_ascii_uppercase())
}

fn read_file(path: &Path, values: &mut BTreeMap<&'static str, RawSetting>) -> Result<(), ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("--config: can't read {}: {error}", path.display())))?;
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
        let setting = setting.ok_or_else(|| {
            let tip = similar(&name, SETTINGS.iter().map(|setting| setting.name));
            ConfigError(format!(
                "{}:{line}: unknown setting {name:?}{tip} (see --help)",
                path.display()
            ))
        })?;
        let texts = texts_of(value.into_inner(), setting.kind).ok_or_else(|| {
            ConfigError(format!(
                "{}:{line}: {name} has a value of the wrong type",
                path.display()
            ))
        })?;
        values.insert(
            setting.name,
            RawSetting {
                texts,
                source: ValueSource::File(path.to_owned(), line),
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
