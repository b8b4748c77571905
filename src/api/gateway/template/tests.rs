//! Templates that match, and those that are none.

use super::*;

#[test]
fn templates_are_read_and_written() {
    for (text, written) in [
        ("/", "/"),
        ("/v1/prices", "/v1/prices"),
        ("/v1/prices/{pair}", "/v1/prices/{pair=*}"),
        ("/v1/prices/{pair}:explain", "/v1/prices/{pair=*}:explain"),
        ("/v1/{name=shelves/*/books/**}/x:a:b", "/v1/{name=shelves/*/books/**}/x:a:b"),
    ] {
        let template: Template = text.parse().expect(text);
        assert_eq!(template.to_string(), written);
        assert_eq!(written.parse(), Ok(template));
    }
}

#[test]
fn what_is_not_a_template_is_named() {
    let error = |text: &str| text.parse::<Template>().expect_err(text);
    assert_eq!(error("v1"), TemplateError::NoSlash);
    assert_eq!(error("/v1/"), TemplateError::Segment(String::new()));
    assert_eq!(error("/a*"), TemplateError::Segment("a*".into()));
    assert_eq!(error("/{a"), TemplateError::Trailing("{a".into()));
    assert_eq!(error("/{a}b"), TemplateError::Trailing("b".into()));
    assert_eq!(error("/{a..b}"), TemplateError::Field("a..b".into()));
    assert_eq!(error("/{a}/{a}"), TemplateError::Twice("a".into()));
    assert_eq!(error("/a:"), TemplateError::Verb(String::new()));
    assert_eq!(error("/**/*"), TemplateError::AfterDeep);
}

#[test]
fn paths_match_and_give_values() {
    #[track_caller]
    fn check(template: &str, path: &str, expected: Option<&[&str]>) {
        let template: Template = template.parse().expect(template);
        let values =
            template.matches(path, UnknownVerb::NotFound).then(|| template.values(path).expect(path));
        let expected = expected.map(|values| values.iter().map(|value| Cow::Borrowed(*value)).collect());
        assert_eq!(values, expected, "{template} on {path}");
    }
    check("/v1/prices/{pair}", "/v1/prices/BTC-USD", Some(&["BTC-USD"]));
    check("/v1/prices/{pair}", "/v1/prices/btc%2Fusd", Some(&["btc/usd"]));
    check("/v1/prices/{pair}", "/v1/prices/btc/usd", None);
    check("/v1/prices/{pair}", "/v1/prices/", None);
    check("/v1/prices/{pair}", "/v1/prices", None);
    check("/v1/prices/{pair}", "/v1/prices/BTC-USD/", None);
    check("/v1/prices/{pair}", "/v1/%70rices/BTC-USD", Some(&["BTC-USD"]));
    check("/v1/prices/{pair}", "/v1/prices/BTC-USD:nonsense", None);
    check("/v1/prices/{pair}", "/v1/prices/BTC-USD%3Anonsense", Some(&["BTC-USD:nonsense"]));
    check("/v1/prices/{pair}:explain", "/v1/prices/BTC-USD:explain", Some(&["BTC-USD"]));
    check("/v1/prices/{pair}:explain", "/v1/prices/:explain", None);
    check("/v1/prices/{pair}:explain", "/v1/prices/BTC-USD", None);
    check("/v1/prices:batchGet", "/v1/prices:batchGet", Some(&[]));
    check("/v1/{a=x/**/y}/z/{b=c}", "/v1/x/1/2/y/z/c", Some(&["x/1/2/y", "c"]));
    check("/v1/{a=x/**/y}/z", "/v1/x/y/z", Some(&["x/y"]));
    check("/v1/{a=**}", "/v1", Some(&[""]));
    check("/v1/{a=**}", "/v1/1%2F2%20/3", Some(&["1%2F2 /3"]));
    check("/**/z", "/z", Some(&[]));
    check("/a/**/a", "/a", None);
}

#[test]
fn values_that_are_no_text_are_refused() {
    let template: Template = "/{a}/{b=**}".parse().expect("a template");
    for path in ["/%", "/%4", "/%zz", "/%ff", "/a/%ff", "/a/%2"] {
        assert_eq!(template.values(path), Err(Malformed), "{path}");
    }
}

#[test]
fn the_more_exact_template_comes_first() {
    let sorted =
        ["/a/b:v", "/a/*:v", "/**:v", "/a/b", "/a/*/c", "/a/*", "/a/**/c", "/a/**", "/a", "/*", "/**"];
    let mut templates: Vec<Template> = sorted.iter().rev().map(|t| t.parse().expect(t)).collect();
    templates.sort_by(Template::by_precedence);
    let written: Vec<String> = templates.iter().map(ToString::to_string).collect();
    assert_eq!(written, sorted);
}
