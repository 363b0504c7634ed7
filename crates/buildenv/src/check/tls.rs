//! Checks of TLS: one source of the certificate, and all that it needs.

use crate::load::Gathered;
use crate::tree::Table;
use crate::values::Checker;

pub(super) fn tls(checker: &mut Checker, all: &Gathered) {
    let environments: Vec<_> =
        all.section("environment").map(|(id, item)| (id.1.clone(), item.table.clone())).collect();
    for (name, table) in environments {
        let Some(entry) = table.get("tls") else { continue };
        let Some(tls) = entry.node.table() else { continue };
        let path = format!("environment.{name}.tls");
        let has = |key: &str| tls.get(key).is_some();
        let own = tls.get("self_signed").is_some_and(|entry| entry.node.show() == "true");
        let sources = [has("cert_file") || has("key_file"), own, has("acme")];
        if sources.iter().filter(|source| **source).count() != 1 {
            let problem = checker.problem(entry.place, &path, "the certificate has not one source");
            checker.report(problem.expected("one of cert_file with key_file, self_signed = true, and acme"));
        }
        for (given, missing) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
            if let (Some(given), false) = (tls.get(given), has(missing)) {
                let message = format!("{path} has {} and no {missing}", given.key);
                let problem = checker.problem(given.place, &format!("{path}.{missing}"), message);
                checker.report(problem.expected("a certificate and its key"));
            }
        }
        if let Some(acme) = tls.get("acme").and_then(|entry| entry.node.table()) {
            authority(checker, &format!("{path}.acme"), acme);
        }
        let url = table.get("url").and_then(|entry| entry.node.text()).unwrap_or_default();
        let redirects = tls.get("plain").filter(|entry| entry.node.text() == Some("redirect"));
        if let Some(plain) = redirects.filter(|_| !url.starts_with("https://")) {
            let message = "there is no https:// address to send people to";
            let problem = checker.problem(plain.node.place, &format!("{path}.plain"), message);
            checker.report(problem.expected(format!("url = \"https://…\" in [environment.{name}]")));
        }
    }
}

fn authority(checker: &mut Checker, path: &str, acme: &Table) {
    for node in acme.get("domains").map_or(&[][..], |entry| entry.node.many()) {
        let text = node.text().unwrap_or_default();
        if !is_name(text) {
            let problem =
                checker.problem(node.place, &format!("{path}.domains"), format!("{text:?} is no name"));
            checker
                .report(problem.expected("host names like \"ci.example.org\", without * and not addresses"));
        }
    }
    if let Some(entry) = acme.get("domains").filter(|entry| entry.node.many().is_empty()) {
        let problem = checker.problem(entry.node.place, &format!("{path}.domains"), "no name at all");
        checker.report(problem.expected("host names like \"ci.example.org\""));
    }
    for node in acme.get("contact").map_or(&[][..], |entry| entry.node.many()) {
        if !node.text().is_some_and(|text| text.starts_with("mailto:") && text.contains('@')) {
            let message = format!("{} is no address", node.show());
            let problem = checker.problem(node.place, &format!("{path}.contact"), message);
            checker.report(problem.expected("\"mailto:somebody@example.org\""));
        }
    }
    if let Some(entry) = acme.get("directory")
        && !entry.node.text().is_some_and(|text| text.starts_with("https://"))
    {
        let problem =
            checker.problem(entry.node.place, &format!("{path}.directory"), "not an https:// address");
        checker.report(problem.expected("the address of the authority's directory"));
    }
}

/// Whether a text is a host's name, for which an authority can look at our port.
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        let fine = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        (1..=63).contains(&label.len()) && fine && !label.starts_with('-') && !label.ends_with('-')
    };
    let address = text.parse::<std::net::IpAddr>().is_ok();
    text.len() <= 253 && text.split('.').all(label) && !address
}
