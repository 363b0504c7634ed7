use super::*;
use crate::dns::DnsError;
use crate::mail;

#[path = "../../tests/it/signer.rs"]
mod signer;

/// Knows one name.
struct One(&'static str, Vec<String>);

#[async_trait::async_trait]
impl Txt for One {
    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        if name != self.0 {
            return Err(DnsError::None);
        }
        Ok(self.1.iter().map(|text| text.clone().into_bytes()).collect())
    }
}

const FIELDS: [(&str, &str); 4] = [
    ("From", "Ada <ada@google.com>"),
    ("Subject", "Change in go[master]: all"),
    ("X-Gerrit-Change-Number", "7"),
    ("Subject", "another one"),
];
const NAME: &str = "sel._domainkey.google.com";

async fn check_at(header: &str, txt: &One, domains: &[&str], now: Option<i64>) -> Result<[u8; 32], String> {
    let fields = mail::fields(header.as_bytes(), 100).unwrap();
    let domains: Vec<String> = domains.iter().map(|one| (*one).to_owned()).collect();
    let now = now.map(|now| Timestamp::from_second(now).unwrap());
    let signed = verify(&fields, &Rule { domains: &domains, now }, txt).await;
    signed.map(|signed| signed.digest).map_err(|error| error.to_string())
}

async fn check(header: &str) -> Result<[u8; 32], String> {
    check_at(header, &One(NAME, vec![signer::record()]), &["google.com"], None).await
}

#[tokio::test]
async fn a_signature_counts_in_either_form() {
    for how in ["simple", "simple/relaxed", "relaxed", "relaxed/relaxed", "relaxed/simple"] {
        let signature = signer::sign(&FIELDS, how, "google.com", "");
        check(&signer::header(&signature, &FIELDS)).await.unwrap();
        let folded = signer::header(&signature, &FIELDS).replace("Subject: Change", "SUBJECT:\r\n\t Change");
        assert_eq!(check(&folded).await.is_ok(), how.starts_with("relaxed"), "{how}");
    }
}

#[tokio::test]
async fn what_was_changed_added_or_signed_twice_does_not_count() {
    let signature = signer::sign(&FIELDS, "relaxed", "google.com", "");
    let good = signer::header(&signature, &FIELDS);
    check(&good).await.unwrap();
    check(&good.replace("\r\n\r\n", "\r\nX-Other: new\r\n\r\n")).await.unwrap();
    for (from, to, why) in [
        ("Number: 7", "Number: 8", "fits none"),
        ("\r\n\r\n", "\r\nSubject: below\r\n\r\n", "fits none"),
        ("d=google.com", "d=Google.com", "fits none"),
        ("From: Ada <ada@google.com>\r\n", "", "fits none"),
        ("h=From", "h=from", "fits none"),
        ("v=1", "v=2", "version"),
        ("v=1; ", "", "version"),
        ("a=rsa-sha256", "a=ed25519-sha256", "algorithm"),
        ("c=relaxed; ", "", "canonicalization"),
        ("c=relaxed", "c=relaxed/other", "canonicalization"),
        ("s=sel; ", "", "selector"),
        ("s=sel", "s=s el/", "selector"),
        ("s=sel", "s=other", "no such name"),
        ("v=1;", "v=1; v=1;", "twice"),
        ("v=1;", "v=1; x;", "without a value"),
        ("v=1;", "v=1; x=soon;", "no time"),
        ("h=From", "h=Fron", "does not cover From"),
        ("s=sel", &*format!("s={}", "a".repeat(64)), "selector"),
        ("s=sel", "s=.sel", "selector"),
        ("d=google.com", &*format!("d={}google.com", "a.".repeat(122)), "no domain"),
        ("d=google.com", "d=google.com.", "no domain"),
        ("d=google.com", "d=evilgoogle.com", "does not sign for us"),
        ("d=google.com", "d=mail.google.com", "does not sign for us"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        let error = check(&bad).await.unwrap_err();
        assert!(error.contains(why), "{from} -> {to}: {error}");
    }
    let twice = check(&format!("{signature}{good}")).await.unwrap_err();
    assert!(twice.contains("2 signatures"), "{twice}");
    let none = check(&signer::header("", &FIELDS)).await.unwrap_err();
    assert!(none.contains("0 signatures"), "{none}");
    let cut = good.replacen(&good[good.find("b=").unwrap()..][2..60], "", 1);
    assert!(check(&cut).await.is_err());
}

#[tokio::test]
async fn another_domain_does_not_sign_unless_it_is_listed() {
    let signature = signer::sign(&FIELDS, "relaxed", "example.com", "");
    let header = signer::header(&signature, &FIELDS);
    let txt = One("sel._domainkey.example.com", vec![signer::record()]);
    let error = check_at(&header, &txt, &["google.com"], None).await.unwrap_err();
    assert!(error.contains("example.com does not sign"), "{error}");
    check_at(&header, &txt, &["google.com", "example.com"], None).await.unwrap();
}

#[tokio::test]
async fn any_record_of_the_signer_may_fit_and_a_bad_one_does_not_count() {
    let header = signer::header(&signer::sign(&FIELDS, "simple", "google.com", ""), &FIELDS);
    let record = signer::record();
    let at = |texts: &[&str]| One(NAME, texts.iter().map(|text| (*text).to_owned()).collect());
    let other = record.replacen("MIIB", "MIIC", 1);
    let bad = ["", "p=", "p=!", "p=MAAA", "v=DKIM1", "p=MIIBIjANBgkq", &other, "é=ü;;;"];
    for text in bad {
        let error = check_at(&header, &at(&[text]), &["google.com"], None).await.unwrap_err();
        assert!(error.contains("fits none"), "{text}: {error}");
    }
    let mixed = [bad[0], bad[4], &record.replace("; ", ";").replace("k=rsa", "t=y:s")];
    check_at(&header, &at(&mixed), &["google.com"], None).await.unwrap();
}

#[tokio::test]
async fn a_signature_may_have_an_end() {
    let signature = signer::sign(&FIELDS, "relaxed", "google.com", " t=900; x=1000;");
    let header = signer::header(&signature, &FIELDS);
    let txt = One(NAME, vec![signer::record()]);
    for (now, right) in [(None, true), (Some(1000), true), (Some(1001), false)] {
        let said = check_at(&header, &txt, &["google.com"], now).await;
        assert_eq!(said.is_ok(), right, "{now:?}: {said:?}");
    }
}

/// A field on top may be anybody's; and a signature is the same, however its digits are folded.
#[tokio::test]
async fn what_is_signed_is_the_lowest_of_each_name_and_known_by_its_digest() {
    let header = signer::header(&signer::sign(&FIELDS[..3], "relaxed", "google.com", ""), &FIELDS[..3]);
    let on_top = format!("X-Gerrit-Change-Number: 8\r\nX-Other: 1\r\n{header}");
    let fields = mail::fields(on_top.as_bytes(), 100).unwrap();
    let domains = ["google.com".to_owned()];
    let txt = One(NAME, vec![signer::record()]);
    let signed = verify(&fields, &Rule { domains: &domains, now: None }, &txt).await.unwrap();
    let values: Vec<_> = signed.fields.iter().map(|field| field.value()).collect();
    assert_eq!(values, [&b" Ada <ada@google.com>"[..], b" Change in go[master]: all", b" 7"]);
    let folded = header.replacen("; b=", "; b= \r\n\t", 1);
    assert_ne!(folded, header);
    for same in [header, on_top.clone(), folded] {
        assert_eq!(check(&same).await.unwrap(), signed.digest, "{same}");
    }
    let other = signer::header(&signer::sign(&FIELDS, "relaxed", "google.com", ""), &FIELDS);
    assert_ne!(check(&other).await.unwrap(), signed.digest);
}

/// RFC 6376, appendices A.2 and C.
#[tokio::test]
async fn the_example_of_the_rfc() {
    let header = "DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;\r\n      \
        c=simple/simple; q=dns/txt; i=joe@football.example.com;\r\n      \
        h=Received : From : To : Subject : Date : Message-ID;\r\n      \
        bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n      \
        b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB\r\n      \
        4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut\r\n      \
        KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV\r\n      \
        4bmp/YzhwvcubU4=;\r\n\
        Received: from client1.football.example.com  [192.0.2.1]\r\n      \
        by submitserver.example.com with SUBMISSION;\r\n      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)\r\n\
        From: Joe SixPack <joe@football.example.com>\r\n\
        To: Suzie Q <suzie@shopping.example.net>\r\n\
        Subject: Is dinner ready?\r\n\
        Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n\
        Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\r\n";
    let record = "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkM\
        oGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0\
        fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB";
    let txt = One("brisbane._domainkey.example.com", vec![record.into()]);
    check_at(header, &txt, &["example.com"], Some(2_000_000_000)).await.unwrap();
    let changed = header.replace("dinner", "supper");
    assert!(check_at(&changed, &txt, &["example.com"], None).await.is_err());
}
