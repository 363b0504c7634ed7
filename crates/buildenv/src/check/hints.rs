//! Checks of where hints come from.

use crate::load::Gathered;
use crate::values::Checker;

/// One place of the secret, and an address that mail can have.
pub(super) fn hints(checker: &mut Checker, all: &Gathered) {
    let Some(item) = all.find("pubsubhelper", None, "") else { return };
    if let Some(entry) = item.table.get("github")
        && let Some(table) = entry.node.table()
        && ["secret_file", "secret_env"].iter().filter(|key| table.get(key).is_some()).count() != 1
    {
        let message = "the secret of GitHub's webhooks has not one place";
        let problem = checker.problem(entry.place, "pubsubhelper.github", message);
        checker.report(problem.expected("secret_file or secret_env"));
    }
    let Some(table) = item.table.get("gerrit").and_then(|entry| entry.node.table()) else { return };
    if let Some(rcpt) = table.get("rcpt")
        && !rcpt.node.text().is_some_and(is_address)
    {
        let problem = checker.problem(rcpt.node.place, "pubsubhelper.gerrit.rcpt", "no address of a mailbox");
        checker.report(problem.expected("\"bot@ci.example.org\""));
    }
    if let Some(listen) = table.get("listen")
        && !listen.node.text().is_some_and(has_port)
    {
        let problem =
            checker.problem(listen.node.place, "pubsubhelper.gerrit.listen", "no address with a port");
        checker.report(problem.expected("\"0.0.0.0:25\""));
    }
    if let Some(domains) = table.get("signing_domains").filter(|entry| entry.node.many().is_empty()) {
        let message = "no domain at all: no mail would count";
        let problem = checker.problem(domains.node.place, "pubsubhelper.gerrit.signing_domains", message);
        checker.report(problem.expected("domains like \"google.com\""));
    }
}

fn is_address(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>'));
    plain && text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
}

fn has_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}
