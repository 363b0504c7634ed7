//! Whether the coordinator can be reached from here, step by step, and what its clock says.

use std::io;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::Finding;
use crate::args::Args;
use crate::reverse::{DialError, Settings, authority};
use crate::server::Connection;

/// A resolver must have answered within this time, and the coordinator too.
const ANSWER: Duration = Duration::from_secs(15);
/// No head is longer.
const HEAD: u64 = 64 << 10;
/// By so many seconds clocks differ that are set by the network, with what the way takes.
const SMALL: u64 = 10;
/// By so many seconds certificates and signed requests begin to fail.
const LARGE: u64 = 300;

pub(super) async fn look(args: &Args) -> Vec<Finding> {
    let settings = match Settings::of(args) {
        Ok(Some(settings)) => settings,
        Ok(None) => return Vec::new(),
        // What is missing was told already, and is all that there is to say until it is there.
        Err(crate::reverse::SettingsError::Credentials(_)) => {
            let text = "not asked, since there is no key or token to go there with";
            return vec![Finding::warn("coordinator", text)];
        }
        Err(error) => return vec![Finding::fail("coordinator", error)],
    };
    let mut findings = Vec::new();
    let (host, port) = (settings.coordinator().host(), settings.coordinator().port());
    let proxy = settings.proxy();
    if let Some(proxy) = &proxy {
        let text =
            format!("{proxy} is used where {host} can't be reached without it (HTTPS_PROXY, NO_PROXY)");
        findings.push(Finding::ok("proxy", text));
    }
    findings.push(name(host, port, proxy.is_some()).await);
    match settings.dial().await {
        Err(error) => findings.push(Finding::fail(step(&error), unreached(&error, &authority(host, port)))),
        Ok(connection) => {
            let how = if settings.coordinator().tls() {
                "TLS, by a certificate of its name"
            } else {
                "no TLS, on this machine"
            };
            findings.push(Finding::ok("connection", format!("{}: {how}", settings.coordinator())));
            let before = SystemTime::now();
            match timeout(ANSWER, ask(connection, &authority(host, port))).await {
                Err(_late) => findings.push(Finding::fail("http", silent(&ANSWER))),
                Ok(Err(error)) => {
                    findings.push(Finding::fail("http", format!("{error}; is it the coordinator's port?")))
                }
                Ok(Ok(head)) => {
                    findings.push(answered(&head));
                    findings.push(clock(&head, before, SystemTime::now()));
                }
            }
        }
    }
    findings
}

fn silent(limit: &Duration) -> String {
    format!(
        "it takes connections and answers nothing for {limit:?}; is it the coordinator's port, and is the server well?"
    )
}

/// Whether its name is known here, and as what.
async fn name(host: &str, port: u16, proxy: bool) -> Finding {
    let found = match timeout(ANSWER, lookup_host((host, port))).await {
        Err(_late) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        Ok(found) => found.map(|found| found.map(|address| address.ip().to_string()).collect::<Vec<_>>()),
    };
    match found {
        Ok(addresses) if !addresses.is_empty() => {
            Finding::ok("name", format!("{host} is {}", addresses.join(", ")))
        }
        // The proxy knows it, if anybody does.
        Ok(_) | Err(_) if proxy => {
            Finding::warn("name", format!("{host} is not known here, only to the proxy if at all"))
        }
        Ok(_) => Finding::fail("name", unknown(host, "it has no address")),
        Err(error) => Finding::fail("name", unknown(host, &error.to_string())),
    }
}

fn unknown(host: &str, why: &str) -> String {
    format!(
        "{host} is not known here: {why}; is it spelled right in --coordinator, and is there a name server in /etc/resolv.conf?"
    )
}

/// Which step a failure was.
fn step(error: &DialError) -> &'static str {
    match error {
        DialError::Connect { .. } => "connection",
        DialError::Both { .. } | DialError::Proxy(_) => "proxy",
        DialError::Tls(_) => "tls",
    }
}

fn unreached(error: &DialError, at: &str) -> String {
    match error {
        DialError::Connect { .. } => format!(
            "{error}; is the server running, and does the firewall let this machine out to {at}? \
             A proxy is named by HTTPS_PROXY"
        ),
        DialError::Both { .. } => format!("{error}; one of the two must let this machine through to {at}"),
        // These say themselves what would help.
        DialError::Proxy(_) | DialError::Tls(_) => error.to_string(),
    }
}

/// Asks for its first page and returns the head of its answer.
async fn ask(mut connection: Connection, authority: &str) -> io::Result<String> {
    let request = format!(
        "HEAD / HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: buildlet-check\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    let mut limited = connection.take(HEAD);
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if limited.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn answered(head: &str) -> Finding {
    let line: String = head.lines().next().unwrap_or_default().chars().take(80).collect();
    let code = line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|code| code.parse().ok());
    match code {
        Some(500..=599) => Finding::warn("http", format!("it answers {line:?}; is the server well?")),
        Some(100..=499_u16) => Finding::ok("http", format!("it answers {line:?}")),
        _ => Finding::fail(
            "http",
            format!(
                "it answers {line:?}, which is no HTTP; is it the coordinator's port, and is https:// right?"
            ),
        ),
    }
}

/// Compares this machine's clock with the one in an answer that was asked for and came at these times.
fn clock(head: &str, before: SystemTime, after: SystemTime) -> Finding {
    let date = head.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then(|| httpdate::parse_http_date(value.trim()).ok())?
    });
    let Some(date) = date else {
        return Finding::warn(
            "clock",
            "the coordinator does not say what time it has, so this clock was not compared",
        );
    };
    // Its answer has whole seconds.
    let ahead = before.duration_since(date + Duration::from_secs(1)).unwrap_or_default().as_secs();
    let behind = date.duration_since(after).unwrap_or_default().as_secs();
    let off = ahead.max(behind);
    let text =
        format!("this clock is {off} s {} the coordinator's", if ahead > 0 { "ahead of" } else { "behind" });
    let remedy = "set it by the network (timedatectl set-ntp true, or an NTP service of this system)";
    match off {
        0..=SMALL => Finding::ok("clock", "as the coordinator's"),
        off if off < LARGE => {
            Finding::warn("clock", format!("{text}, and so are the times in its builds; {remedy}"))
        }
        _ => Finding::fail(
            "clock",
            format!("{text}, by which certificates and signed requests fail; {remedy}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn clocks_are_compared_by_the_date_of_an_answer() {
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\ndate: Thu, 26 Nov 2026 16:40:18 GMT\r\n\r\n";
        let at = httpdate::parse_http_date("Thu, 26 Nov 2026 16:40:18 GMT").unwrap();
        let second = Duration::from_secs(1);
        let judge = |now: SystemTime| clock(head, now, now + second);
        for (now, want, word) in [
            (at, Verdict::Ok, "as the"),
            (at + second * 5, Verdict::Ok, "as the"),
            (at - second * 5, Verdict::Ok, "as the"),
            (at + second * 60, Verdict::Warn, "59 s ahead of"),
            (at - second * 60, Verdict::Warn, "59 s behind"),
            (at + second * 4000, Verdict::Fail, "timedatectl"),
            (at - second * 4000, Verdict::Fail, "behind"),
        ] {
            let found = judge(now);
            assert!(found.verdict == want && found.said.contains(word), "{found}");
        }
        for none in ["HTTP/1.1 200 OK\r\n\r\n", "", "HTTP/1.1 200 OK\r\nDate: yesterday\r\n\r\n"] {
            assert_eq!(clock(none, at, at).verdict, Verdict::Warn, "{none:?}");
        }
    }

    #[test]
    fn an_answer_that_is_no_http_is_told() {
        for (head, want) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Verdict::Ok),
            ("HTTP/1.1 302 Found\r\n\r\n", Verdict::Ok),
            ("HTTP/1.1 502 Bad Gateway\r\n\r\n", Verdict::Warn),
            ("SSH-2.0-OpenSSH_9\r\n", Verdict::Fail),
            ("HTTP/1.1 x\r\n\r\n", Verdict::Fail),
            ("", Verdict::Fail),
        ] {
            assert_eq!(answered(head).verdict, want, "{head:?}");
        }
    }
}
