//! The cookie of a session.

use http::{HeaderMap, HeaderValue, header};

/// The cookie's name. With TLS it begins so that a browser takes it from this host alone.
fn name(secure: bool) -> &'static str {
    if secure { "__Host-bellwether" } else { "bellwether" }
}

/// Finds the cookie's value.
pub(crate) fn value(headers: &HeaderMap, secure: bool) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name(secure)).map(|(_, value)| value.to_owned())
}

/// Sets the cookie.
pub(crate) fn set(value: &str, seconds: u64, secure: bool) -> HeaderValue {
    let tail = if secure { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{tail}", name(secure));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("bellwether="))
}

/// Takes the cookie away.
pub(crate) fn clear(secure: bool) -> HeaderValue {
    set("", 0, secure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others_and_only_by_its_own_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=b; bellwether=x; bellwether2=y"));
        headers.append(header::COOKIE, HeaderValue::from_static("__Host-bellwether=z"));
        assert_eq!(value(&headers, false).as_deref(), Some("x"));
        assert_eq!(value(&headers, true).as_deref(), Some("z"));
        assert_eq!(value(&HeaderMap::new(), true), None);
    }

    #[test]
    fn no_script_and_no_other_site_gets_it() {
        let text = set("v", 60, true);
        let text = text.to_str().unwrap();
        assert_eq!(text, "__Host-bellwether=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure");
        assert!(!set("v", 60, false).to_str().unwrap().contains("Secure"));
        assert!(clear(false).to_str().unwrap().contains("Max-Age=0"));
    }
}
