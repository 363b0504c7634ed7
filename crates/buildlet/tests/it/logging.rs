//! What the agent says of itself.

use crate::agent::{Agent, end, shell, soon};

#[tokio::test]
async fn as_much_is_said_as_is_wanted_and_in_plain_text_where_nobody_looks() {
    for (wanted, said, unread) in [
        ("", true, false),
        ("info", true, false),
        ("warn,buildlet::exec=info", true, false),
        ("warn", false, false),
        ("buildlet=loudly", true, true),
    ] {
        let agent = Agent::start_in(&[], &[("BELLWETHER_LOG", wanted)]).await;
        let client = agent.client();
        client.start(&shell("one", "true")).await.unwrap();
        end(&client, "one").await;
        if said {
            soon("the command is told of", || agent.log().contains("command ended")).await;
        }
        let log = agent.log();
        assert_eq!(log.contains("command started"), said, "{wanted}: {log}");
        assert_eq!(log.contains("BELLWETHER_LOG can't be read"), unread, "{wanted}: {log}");
        assert!(!log.contains('\u{1b}'), "{log:?}");
    }
}
