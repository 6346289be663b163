//! The account that runs this program.

use std::env;
use std::fs;

/// The name of the account that runs this program, from `LOGNAME`, `USER` or `/etc/passwd`.
pub(crate) fn account_name() -> Option<String> {
    let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
    variable("LOGNAME")
        .or_else(|| variable("USER"))
        .or_else(account_of_passwd)
}

fn account_of_passwd() -> Option<String> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    name_of(rustix::process::getuid().as_raw(), &passwd)
}

fn name_of(uid: u32, passwd: &str) -> Option<String> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_name_is_found_by_its_uid() {
        let passwd = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbroken\n";
        assert_eq!(name_of(1000, passwd).as_deref(), Some("alice"));
        assert_eq!(name_of(7, passwd), None);
    }
}
