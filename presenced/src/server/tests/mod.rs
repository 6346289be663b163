//! The server with real sockets: admission, time limits, stopping.

mod admission;
mod files;
mod fixture;
mod stop;
mod times;

use crate::auth::Auth;

/// Secret `test-secret`, bearer tokens `token-of-USER`, trusted proxy 192.0.2.1, allowed origin `https://app.example`,
/// hosts 127.0.0.1 and localhost. For the tests of the API too.
pub(crate) fn auth() -> Auth {
    Auth::for_tests("test-secret", "192.0.2.1/32", "https://app.example")
}
