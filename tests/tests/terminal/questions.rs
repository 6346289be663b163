//! Questions of commands on a terminal.

use presence_tests::wait_until;

use super::fixture::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn set_status_without_a_user_asks_before_it_takes_the_account() {
    let fixture = Fixture::before(&[], (100, 20)).await;
    let rest = fixture.daemon.rest();
    fixture.terminal.line("LOGNAME=tester presencectl set-status dnd");
    fixture.terminal.shows("this account, \"tester\"? [y/N]").await;
    fixture.terminal.line("");
    fixture.terminal.shows("nothing was done").await;
    assert_eq!(rest.custom_status("tester").await, "ONLINE");
    fixture
        .terminal
        .line("clear; LOGNAME=tester presencectl set-status dnd");
    fixture
        .terminal
        .until("the question, answered by nobody yet", |screen| {
            screen.contains("[y/N]") && !screen.contains("nothing was done")
        })
        .await;
    fixture.terminal.line("y");
    wait_until("it is set", async || {
        (rest.custom_status("tester").await == "DO_NOT_DISTURB").then_some(())
    })
    .await;
}
