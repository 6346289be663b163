//! What `--demo` contradicts. Whoever reaches the demonstration page can be any user, so only this machine may reach it, and none
//! of its users may be one of an application.

use super::{Config, ConfigError};

pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let refused = [
        (
            !config.listen.ip().to_canonical().is_loopback(),
            "--listen must be a loopback address such as 127.0.0.1:7420",
        ),
        (
            config.trusted_proxies.has_named(),
            "others may reach it through the proxy of --trusted-proxy",
        ),
        (
            !config.jwt_keys.is_empty(),
            "it makes tokens with the key that presenced made, so there must be no --jwt-key",
        ),
        (
            config.jwt_issuer.is_some() || config.jwt_audience.is_some(),
            "its tokens have no issuer and no audience, so there must be no --jwt-issuer and no --jwt-audience",
        ),
        (
            !config.cluster.redis.is_empty(),
            "it is for a node that is alone, so there must be no --redis",
        ),
    ];
    match refused.into_iter().find(|(is_refused, _)| config.demo && *is_refused) {
        Some((_, reason)) => Err(ConfigError(format!("--demo lets anybody be any user: {reason}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Outcome, load};

    fn started(arguments: &[&str]) -> Result<bool, String> {
        let arguments = ["presenced"].iter().chain(arguments).map(|text| (*text).into());
        match load(arguments, [("HOME".into(), "/home/op".into())]) {
            Ok(Outcome::Run(config)) => Ok(config.demo),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_demonstration_is_off_by_default_and_on_loopback_only() {
        assert_eq!(started(&[]), Ok(false));
        for listen in ["127.0.0.1:0", "[::1]:7420", "[::ffff:127.0.0.1]:7420"] {
            assert_eq!(started(&["--demo", "--listen", listen]), Ok(true), "{listen}");
        }
    }

    #[test]
    fn the_demonstration_is_refused_beside_settings_of_an_application() {
        for (flags, named) in [
            (&["--listen", "192.0.2.1:7420", "--insecure"][..], "--listen"),
            (&["--listen", "0.0.0.0:7420", "--insecure"], "--listen"),
            (&["--trusted-proxy", "127.0.0.1"], "--trusted-proxy"),
            (&["--jwt-key", "/etc/presenced/key.pem"], "--jwt-key"),
            (&["--jwt-issuer", "https://login.example.org"], "--jwt-issuer"),
            (&["--jwt-audience", "presence"], "--jwt-audience"),
            (&["--redis", "rediss://localhost"], "--redis"),
        ] {
            assert_eq!(started(flags), Ok(false), "{flags:?}");
            let error = started(&[&["--demo"], flags].concat()).expect_err(named);
            assert!(error.starts_with("--demo ") && error.contains(named), "{error}");
        }
    }
}
