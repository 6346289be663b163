//! `--print-config`: every setting in effect, as TOML that is a valid configuration file, with the source of each value.

use super::settings::{Kind, SETTINGS};
use super::sources::{RawSettings, ValueSource};

/// One line per setting. A secret is never a setting, only its file is.
pub(super) fn print(raw: &RawSettings) -> String {
    let mut lines = Vec::new();
    for setting in SETTINGS {
        let given = raw.values.get(setting.name);
        let texts = match (given, setting.default) {
            (Some(given), _) => given.texts.clone(),
            (None, _) if setting.name == "data-dir" => raw.home.iter().map(|path| path.display().to_string()).collect(),
            (None, "") => Vec::new(),
            (None, default) => vec![default.to_owned()],
        };
        let source = given.map_or(&ValueSource::Default, |given| &given.source);
        let value = match (setting.kind, texts.as_slice()) {
            (Kind::Switch, texts) => texts.first().map_or_else(|| "false".to_owned(), Clone::clone),
            (Kind::Many, texts) => format!(
                "[{}]",
                texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
            ),
            (Kind::One, [text]) => quoted(text),
            (Kind::One, _) => {
                lines.push(format!("# {} is not set", setting.name));
                continue;
            }
        };
        lines.push(format!("{} = {value} # {source}", setting.name));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
