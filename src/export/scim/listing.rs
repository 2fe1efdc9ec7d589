//! Pages of everything that a SCIM server has (RFC 7644 section 3.4.2.4; cursors: RFC 9865).

use super::answer;
use crate::export::target::{Document, Listed, Page};
use serde_json::Value;

/// The query for a page. The first one asks for no place: some servers refuse even that.
pub fn query(page: &Page) -> Vec<(&'static str, String)> {
    let mut query = vec![("count", COUNT.to_string())];
    match &page.cursor {
        Some(cursor) => query.push(("cursor", cursor.clone())),
        None if page.skip > 0 => query.push(("startIndex", (page.skip + 1).to_string())),
        None => {}
    }
    query
}

/// What is on a page, and where it goes on. A server may send less than was asked for, and everything to
/// whoever asks for a part.
pub fn listed(body: &Document, page: &Page) -> Listed {
    let list = body.get("Resources").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let total = body.get("totalResults").and_then(Value::as_u64).and_then(|total| usize::try_from(total).ok());
    let cursor = body.get("nextCursor").and_then(Value::as_str).filter(|cursor| !cursor.is_empty());
    let skip = page.skip.saturating_add(list.len());
    let more = cursor.is_some() || (page.cursor.is_none() && total.is_some_and(|total| skip < total));
    Listed {
        objects: list.iter().filter_map(Value::as_object).filter_map(|object| answer::remote(object, None)).collect(),
        next: (more && !list.is_empty()).then(|| Page { skip, cursor: cursor.map(str::to_owned) }),
        total,
    }
}

/// Objects on a page: what most servers allow.
const COUNT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(value: Value) -> Document {
        serde_json::from_value(value).unwrap()
    }

    fn users(ids: &[&str]) -> Vec<Value> {
        ids.iter().map(|id| json!({"id": id, "userName": id})).collect()
    }

    #[test]
    fn pages_follow_each_other_until_all_came() {
        let first = Page::default();
        let second = Page { skip: 2, cursor: None };
        for (page, answer, ids, next) in [
            (&first, json!({"totalResults": 3, "Resources": users(&["a", "b"])}), 2, Some(second.clone())),
            (&second, json!({"totalResults": 3, "Resources": users(&["c"])}), 1, None),
            // Others have deleted something meanwhile.
            (&second, json!({"totalResults": 2, "Resources": []}), 0, None),
            (&second, json!({"totalResults": 9}), 0, None),
            // A server that knows no pages.
            (&first, json!({"totalResults": 3, "Resources": users(&["a", "b", "c"])}), 3, None),
            (&first, json!({"Resources": users(&["a"])}), 1, None),
        ] {
            let listed = listed(&body(answer.clone()), page);
            assert_eq!((listed.objects.len(), listed.next), (ids, next), "{answer}");
        }
    }

    #[test]
    fn cursors_lead_on_and_end() {
        let answer = body(json!({"totalResults": 2, "Resources": users(&["a"]), "nextCursor": "x"}));
        let next = listed(&answer, &Page::default()).next.unwrap();
        assert_eq!(query(&next), [("count", "100".to_owned()), ("cursor", "x".to_owned())]);
        let last = body(json!({"totalResults": 9, "Resources": users(&["b"])}));
        assert_eq!(listed(&last, &next).next, None);
        assert_eq!(query(&Page { skip: 100, cursor: None }).last().unwrap().1, "101");
        assert_eq!(query(&Page::default()).len(), 1);
    }
}
