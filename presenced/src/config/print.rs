//! `--print-config`: every setting in effect, as TOML that is a valid configuration file, with the source of each value.

use super::settings::{Kind, SETTINGS};
use super::sources::{RawSettings, ValueSource};

/// One line per setting. A secret is never a setting, only its file is.
pub(super) fn print(raw: &RawSettings) -> String {
    let data_dir = match raw.values.get("data-dir") {
        Some(given) => given.texts.join(""),
        None => raw.home.iter().map(|path| path.display().to_string()).collect(),
    };
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
        if texts.is_empty() && (setting.kind == Kind::One || setting.name == "jwt-key") {
            lines.push(not_set(setting.name, &data_dir));
            continue;
        }
        let value = match (setting.kind, texts.as_slice()) {
            (Kind::Switch, texts) => texts.first().map_or_else(|| "false".to_owned(), Clone::clone),
            (Kind::Many, texts) => format!(
                "[{}]",
                texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
            ),
            (Kind::One, texts) => quoted(&texts.concat()),
        };
        lines.push(format!("{} = {value} # {source}", setting.name));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What holds where a setting has neither a value nor a default that could be written as one.
fn not_set(name: &str, data_dir: &str) -> String {
    let what = match name {
        "metrics-listen" => "/metrics is served on the address of listen".to_owned(),
        "tls-cert" | "tls-key" => "TLS is not spoken".to_owned(),
        "database" => format!("sqlite:{data_dir}/presence.db"),
        "database-password-file" => "no password is sent".to_owned(),
        "redis-password-file" => "no password is sent to Redis".to_owned(),
        "redis-ca-file" => "the certificates that the system trusts".to_owned(),
        "node-name" => "the name of the host".to_owned(),
        "advertise" => "the bound address".to_owned(),
        "secret-file" => format!("{data_dir}/secret, created at the first start"),
        "jwt-key" => format!("{data_dir}/jwt-key, created at the first start"),
        "jwt-issuer" => "iss is not checked".to_owned(),
        "jwt-audience" => "aud is not checked".to_owned(),
        "max-connections" => "90 % of the limit on open files".to_owned(),
        "kept-for-websockets" => "an eighth of max-connections".to_owned(),
        "connections-per-address" | "unauthenticated-connections" => "a quarter of max-connections".to_owned(),
        _ => "no value".to_owned(),
    };
    format!("# {name} is not set: {what}")
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
