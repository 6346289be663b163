//! The check of the certificate that the daemon's listeners serve.

use std::time::Duration;

use presence::Wall;
use presence::wire::rest::TlsStats;

use super::{Check, Outcome};
use crate::output::time::relative;

const NAME: &str = "tls";
/// How long before it expires a certificate is warned of.
const EXPIRY_WARN: Duration = Duration::from_secs(21 * 24 * 60 * 60);
const FIX: &str = "renew it, put the new one where --tls-cert and --tls-key are, and `pkill -HUP -x presenced`";

/// What the daemon tells of its certificate, at its own time.
pub(super) fn check(tls: Option<&TlsStats>, now: Wall) -> Check {
    let Some(TlsStats { valid_from, expires_at }) = tls else {
        return Check::new(NAME, Outcome::Note, "the daemon itself speaks no TLS");
    };
    let expires = format!("{expires_at} ({})", relative(*expires_at, now));
    if now >= *expires_at {
        Check::fail(NAME, format!("the certificate expired at {expires}")).fix(FIX)
    } else if now < *valid_from {
        Check::fail(NAME, format!("the certificate is not valid before {valid_from}"))
            .fix("compare the daemon's clock with the real time; if it is right, use another certificate")
    } else if now.after(EXPIRY_WARN) >= *expires_at {
        Check::warn(NAME, format!("the certificate expires at {expires}")).fix(FIX)
    } else {
        Check::ok(NAME, format!("the certificate is valid until {expires}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_reported_three_weeks_before_it_expires() {
        let day = |days: i64| Wall::from_millis(days * 24 * 60 * 60 * 1000);
        let tls = TlsStats {
            valid_from: day(10),
            expires_at: day(100),
        };
        for (now, expected) in [
            (9, Outcome::Fail),
            (10, Outcome::Ok),
            (78, Outcome::Ok),
            (79, Outcome::Warn),
            (99, Outcome::Warn),
            (100, Outcome::Fail),
        ] {
            let check = check(Some(&tls), day(now));
            assert_eq!(check.result, expected, "day {now}");
            assert_eq!(check.fix.is_some(), expected != Outcome::Ok);
        }
        assert_eq!(check(None, day(1)).result, Outcome::Note);
    }
}
