//! Table of filter documents.

use super::*;
use serde_json::json;

fn check(query: Value, document: Value, expected: bool) {
    let parsed = Query::parse(&query).unwrap_or_else(|fault| panic!("{query}: {fault}"));
    assert_eq!(parsed.matches(&document), expected, "{query} on {document}");
}

fn person() -> Value {
    json!({
        "state": 99,
        "lifecycle": "O",
        "ignoreLifecycle": false,
        "lastSync": "2026-03-01T10:00:00Z",
        "inetOrgPerson": {"uid": "ada", "employeeNumber": ["1", "2"], "mail": null, "title": ""},
        "additionalFields": {
            "objectClasses": ["supannPerson"],
            "attributes": {"supannPerson": {"supannEtuDateFin": "20270630220000Z", "n": 12}}
        },
        "jobs": [{"name": "a", "grade": 3}, {"name": "b", "grade": 7, "open": true}],
        "none": []
    })
}

#[test]
fn every_operator() {
    for (query, expected) in [
        (json!({}), true),
        (json!({"lifecycle": "O"}), true),
        (json!({"lifecycle": "o"}), false),
        (json!({"lifecycle": "O", "state": 99}), true),
        (json!({"lifecycle": "O", "state": 1}), false),
        (json!({"state": 99.0}), true),
        (json!({"state": "99"}), false),
        (json!({"state": {"$eq": 99}}), true),
        (json!({"state": {"$ne": 99}}), false),
        (json!({"absent": {"$ne": 99}}), true),
        (json!({"state": {"$gt": 98, "$lt": 100}}), true),
        (json!({"state": {"$gt": 99}}), false),
        (json!({"state": {"$gte": 99}}), true),
        (json!({"state": {"$lte": 98.5}}), false),
        (json!({"state": {"$gt": "1"}}), false),
        (json!({"state": {"$in": [1, 99]}}), true),
        (json!({"state": {"$in": []}}), false),
        (json!({"state": {"$nin": [1, 2]}}), true),
        (json!({"absent": {"$nin": [1, 2]}}), true),
        (json!({"absent": {"$in": [null, 2]}}), true),
        (json!({"state": {"$exists": true}}), true),
        (json!({"state": {"$exists": false}}), false),
        (json!({"a.b.c": {"$exists": false}}), true),
        (json!({"inetOrgPerson.mail": {"$exists": true}}), true),
        (json!({"inetOrgPerson.mail": null}), true),
        (json!({"inetOrgPerson.none": null}), true),
        (json!({"inetOrgPerson.title": null}), false),
        (json!({"inetOrgPerson.title": ""}), true),
        (json!({"inetOrgPerson.uid": {"$regex": "^a"}}), true),
        (json!({"inetOrgPerson.uid": {"$regex": "^A"}}), false),
        (json!({"inetOrgPerson.uid": {"$regex": "^A", "$options": "i"}}), true),
        (json!({"inetOrgPerson.uid": {"$not": {"$regex": "^a"}}}), false),
        (json!({"absent": {"$not": {"$gt": 1}}}), true),
        (json!({"ignoreLifecycle": {"$ne": true}}), true),
        (json!({"ignoreLifecycle": false}), true),
        (json!({"ignoreLifecycle": 0}), false),
        (json!({"$or": [{"state": 1}, {"lifecycle": "O"}]}), true),
        (json!({"$and": [{"state": 1}, {"lifecycle": "O"}]}), false),
        (json!({"$nor": [{"state": 1}, {"lifecycle": "I"}]}), true),
        (json!({"$or": [{"state": 1}], "lifecycle": "O"}), false),
        (json!({"state": {"$type": "number"}, "lifecycle": {"$type": "string"}}), true),
        (json!({"lastSync": {"$type": "date"}, "lifecycle": {"$type": "date"}}), false),
        (json!({"inetOrgPerson": {"$type": "object"}, "none": {"$type": "array"}}), true),
        (json!({"inetOrgPerson.mail": {"$type": "null"}, "ignoreLifecycle": {"$type": "bool"}}), true),
    ] {
        check(query, person(), expected);
    }
}

#[test]
fn arrays_are_searched() {
    for (query, expected) in [
        (json!({"inetOrgPerson.employeeNumber": "2"}), true),
        (json!({"inetOrgPerson.employeeNumber": ["1", "2"]}), true),
        (json!({"inetOrgPerson.employeeNumber": ["2", "1"]}), false),
        (json!({"inetOrgPerson.employeeNumber": {"$ne": "2"}}), false),
        (json!({"inetOrgPerson.employeeNumber": {"$in": ["2", "9"]}}), true),
        (json!({"inetOrgPerson.employeeNumber": {"$all": ["2", "1"]}}), true),
        (json!({"inetOrgPerson.employeeNumber": {"$all": ["2", "3"]}}), false),
        (json!({"inetOrgPerson.employeeNumber": {"$all": []}}), false),
        (json!({"inetOrgPerson.uid": {"$all": ["ada"]}}), true),
        (json!({"inetOrgPerson.employeeNumber": {"$size": 2}}), true),
        (json!({"none": {"$size": 0}}), true),
        (json!({"state": {"$size": 1}}), false),
        (json!({"inetOrgPerson.employeeNumber.0": "1"}), true),
        (json!({"inetOrgPerson.employeeNumber.1": "1"}), false),
        (json!({"additionalFields.objectClasses": "supannPerson"}), true),
        (json!({"jobs.name": "b"}), true),
        (json!({"jobs.1.grade": 7}), true),
        (json!({"jobs.open": null}), true),
        (json!({"jobs.open": {"$exists": true}}), true),
        (json!({"jobs.name": "a", "jobs.grade": 7}), true),
        (json!({"jobs": {"$elemMatch": {"name": "a", "grade": 7}}}), false),
        (json!({"jobs": {"$elemMatch": {"name": "b", "grade": {"$gt": 3}}}}), true),
        (json!({"jobs": {"$elemMatch": {"$or": [{"name": "x"}, {"grade": 3}]}}}), true),
        (json!({"jobs.grade": {"$gt": 6, "$lt": 4}}), true),
        (json!({"inetOrgPerson.employeeNumber": {"$elemMatch": {"$gt": "1", "$lt": "3"}}}), true),
        (json!({"inetOrgPerson.employeeNumber": {"$elemMatch": {"$gt": "2"}}}), false),
        (json!({"inetOrgPerson.uid": {"$elemMatch": {"$eq": "ada"}}}), false),
    ] {
        check(query, person(), expected);
    }
}

#[test]
fn times_compare_as_instants() {
    let end = "additionalFields.attributes.supannPerson.supannEtuDateFin";
    for (query, expected) in [
        (json!({"lastSync": {"$lt": "2026-03-01T10:00:01Z"}}), true),
        (json!({"lastSync": {"$lt": "2026-03-01T11:00:00+02:00"}}), false),
        (json!({"lastSync": "2026-03-01T11:00:00+01:00"}), true),
        (json!({"lastSync": {"$gte": "2026-03-01"}}), true),
        (json!({"lastSync": {"$lt": "2026-03-02"}}), true),
        (json!({"lastSync": {"$lte": {"$date": "2026-03-01T10:00:00.000Z"}}}), true),
        (json!({"lastSync": "20260301100000Z"}), true),
        (json!({(end): {"$gt": "2027-06-30T21:59:59Z"}}), true),
        (json!({(end): {"$gt": "2027-06-30T22:00:00Z"}}), false),
        (json!({"absent": {"$lt": "2026-03-02"}}), false),
        (json!({"absent": {"$lte": null}}), true),
    ] {
        check(query, person(), expected);
    }
    assert_eq!(instant("1970-01-01T00:00:01Z").map(|t| t.secs()), Some(1));
    for text in ["20240101", "2024", "1234567890", "0123456X", "2024-13-01", "2024-1-1", ""] {
        assert_eq!(instant(text), None, "{text}");
    }
}

#[test]
fn faults_name_their_place() {
    for (query, expected) in [
        (json!([]), "at the filter: expected a document such as {employeeType: student}"),
        (json!({"$where": "1"}), "at $where: is no operator that is known here; expected $and, $or, $nor or a path"),
        (json!({"a": {"$near": 1}}), "at a.$near: is no operator that is known here"),
        (json!({"$or": []}), "at $or: expected a list of at least one document"),
        (json!({"$or": [{"a": 1}, {"b": {"$in": 3}}]}), "at $or.1.b.$in: expected a list"),
        (json!({"a": {"$gt": 1, "b": 2}}), "at a: holds both operators and names"),
        (json!({"a": {"$not": 1}}), "at a.$not: expected a document of operators such as {$gt: 5}"),
        (json!({"a": {"$size": -1}}), "at a.$size: expected a number of items, 0 or more"),
        (json!({"a": {"$exists": "x"}}), "at a.$exists: expected true or false"),
        (json!({"a": {"$regex": "x", "$options": "g"}}), "at a.$regex: expected of $options some of i, m, s and x"),
        (json!({"a": {"$regex": "(x"}}), "at a.$regex: error: unclosed group"),
        (json!({"a": {"$options": "i"}}), "at a.$options: is no operator that is known here"),
        (json!({"a..b": 1}), "at a..b: expected a path such as inetOrgPerson.uid"),
        (json!({"a": {"$type": 2}}), "at a.$type: expected string, number, bool, object, array, null or date"),
    ] {
        assert_eq!(Query::parse(&query).unwrap_err().to_string(), expected, "{query}");
    }
    let deep = (0..200).fold(json!({"a": 1}), |inner, _| json!({"$and": [inner]}));
    assert!(Query::parse(&deep).unwrap_err().reason.contains("nested too deeply"));
}
