//! The header `Link`, by which lists go on.

/// The target of `rel="next"`, if there is one.
pub(crate) fn next(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (target, after) = rest.split_once('<')?.1.split_once('>')?;
        // Parameters end where the next target begins: there is no '<' in one of GitHub's.
        let parameters = after.split('<').next().unwrap_or_default();
        let is_next = parameters.split([';', ',']).any(|parameter| {
            let parameter = parameter.trim();
            parameter == r#"rel="next""# || parameter == "rel=next"
        });
        if is_next {
            return Some(target);
        }
        rest = after;
    }
}

/// The path and query of a URL, without its origin and what the API's own address has as path (`/api/v3` on servers of one's
/// own).
pub(crate) fn path(url: &str) -> Option<&str> {
    let from = match url.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/')?..],
        None => url,
    };
    let at = from.find("/repos/").or_else(|| from.find("/repositories/"))?;
    Some(&from[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_others() {
        let header = r#"<https://api.github.com/repositories/1/issues?page=1>; rel="prev", <https://api.github.com/repositories/1/issues?after=a%3D&page=3>; rel="next", <https://api.github.com/x>; rel="last""#;
        let found = next(header).unwrap();
        assert_eq!(path(found), Some("/repositories/1/issues?after=a%3D&page=3"));
        assert_eq!(next(r#"<https://api.github.com/x>; rel="last""#), None);
        for odd in ["", "<", "<>", "rel=next", "<a>; rel=\"next", ">rel=\"next\"<"] {
            assert_eq!(next(odd), None, "{odd}");
        }
        assert_eq!(
            path("https://github.example/api/v3/repos/o/r/issues?page=2"),
            Some("/repos/o/r/issues?page=2")
        );
        assert_eq!(path("https://elsewhere.example"), None);
        assert_eq!(path("https://elsewhere.example/admin"), None);
    }
}
