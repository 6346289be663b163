//! The configuration of the release.

use std::process::Command;

use presence_tests::binaries;

use super::archive;

#[test]
fn every_setting_of_a_configuration_file_is_accepted_and_means_the_same() {
    let file = archive::path("presenced.toml");
    let mut presenced = Command::new(binaries::presenced());
    presenced.env_clear().arg("--config").arg(&file).arg("--print-config");
    let output = presenced.output().unwrap();
    let [printed, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{error}");
    let today: Vec<&str> = printed
        .lines()
        .filter_map(|line| Some(line.rsplit_once(" # ")?.0))
        .collect();
    let recorded = archive::text("presenced.toml");
    assert!(recorded.lines().count() > 50, "{recorded}");
    for setting in recorded.lines() {
        // A key that may be given several times since then is printed as a list.
        let in_list = setting
            .split_once(" = ")
            .map(|(name, value)| format!("{name} = [{value}]"));
        assert!(
            today.contains(&setting) || in_list.is_some_and(|list| today.contains(&list.as_str())),
            "{setting} is not in {printed}"
        );
    }
}
