//! Names of organisations and structures that are nearly the same, which imports make of one. Pure:
//! texts in, groups out, best first.

use serde::Serialize;
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// One name, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Name {
    pub text: String,
    pub attribute: SmolStr,
    pub bearer: Bearer,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Bearer {
    /// The structure with this DN.
    Structure(String),
    /// So many people, who name it as theirs.
    People(usize),
}

/// Why names are thought to be the same, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    SameText,
    CaseAccentsOrSpacing,
    Abbreviation,
    OrderOfWords,
    Spelling,
}

/// Names that are alike, each at least like one other of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Of 100, of the least sure pair that holds the group together.
    pub score: u32,
    pub reason: Reason,
    pub names: Vec<Name>,
}

/// Short forms that structures of higher education use.
const ABBREVIATIONS: &[(&str, &str)] = &[
    ("ufr", "unite de formation et de recherche"),
    ("umr", "unite mixte de recherche"),
    ("iut", "institut universitaire de technologie"),
    ("bu", "bibliotheque universitaire"),
    ("dsi", "direction du systeme d information"),
    ("dsi", "direction des systemes d information"),
    ("drh", "direction des ressources humaines"),
    ("dept", "departement"),
    ("dep", "departement"),
    ("dpt", "departement"),
    ("univ", "universite"),
    ("st", "saint"),
    ("ste", "sainte"),
    ("labo", "laboratoire"),
    ("lab", "laboratoire"),
    ("fac", "faculte"),
    ("inst", "institut"),
    ("ctre", "centre"),
    ("serv", "service"),
    ("dir", "direction"),
    ("rech", "recherche"),
    ("sci", "sciences"),
    ("tech", "technologie"),
];

/// Words that do not tell one name from another.
const SMALL: &[&str] =
    &["a", "au", "aux", "d", "de", "des", "du", "en", "et", "l", "la", "le", "les", "of", "the", "and"];

/// Neighbours that a name is compared with where many begin, or end, alike.
const NEIGHBOURS: usize = 40;
/// Letters by which names are brought together.
const EDGE: usize = 4;
/// Names shorter than this are not compared letter by letter.
const SHORTEST: usize = 6;
/// Letters that may differ, and for one of them how many must not.
const MOST_EDITS: usize = 3;
const LETTERS_AN_EDIT: usize = 7;

/// A name in the forms that are compared.
struct Folded {
    /// Without case, accents, punctuation and spacing.
    compact: String,
    /// Long forms for short ones, small words left out.
    words: Vec<String>,
    /// The same as one.
    plain: String,
    /// Words that number things, which no slip of the pen makes the same.
    numbers: Vec<String>,
}

/// Groups of two names and more, the surest first. `own` are further abbreviations.
pub fn near_duplicates(names: &[Name], own: &BTreeMap<SmolStr, Vec<String>>) -> Vec<Group> {
    let table = Table::new(own);
    let folded: Vec<Folded> = names.iter().map(|name| table.fold(&name.text)).collect();
    let mut links: Vec<(u32, Reason, usize, usize)> = Vec::new();
    for (one, other) in candidates(&folded) {
        if let (Some(a), Some(b), Some(fa), Some(fb)) =
            (names.get(one), names.get(other), folded.get(one), folded.get(other))
            && may_be_twins(a, b)
            && let Some((score, reason)) = likeness(a, b, fa, fb)
        {
            links.push((score, reason, one, other));
        }
    }
    gather(names, links)
}

/// A structure is no double of itself, and whoever names it as it is called does no harm.
fn may_be_twins(a: &Name, b: &Name) -> bool {
    match (&a.bearer, &b.bearer) {
        (Bearer::Structure(one), Bearer::Structure(other)) => one != other,
        _ => a.text != b.text,
    }
}

fn likeness(a: &Name, b: &Name, fa: &Folded, fb: &Folded) -> Option<(u32, Reason)> {
    if a.text == b.text {
        return Some((100, Reason::SameText));
    }
    if fa.compact == fb.compact {
        return Some((98, Reason::CaseAccentsOrSpacing));
    }
    if fa.plain == fb.plain {
        return Some((95, Reason::Abbreviation));
    }
    let sorted = |f: &Folded| f.words.iter().cloned().collect::<BTreeSet<_>>();
    if fa.words.len() == fb.words.len() && sorted(fa) == sorted(fb) {
        return Some((90, Reason::OrderOfWords));
    }
    let (short, long) = (
        fa.plain.chars().count().min(fb.plain.chars().count()),
        fa.plain.chars().count().max(fb.plain.chars().count()),
    );
    if short < SHORTEST || fa.numbers != fb.numbers || long - short > MOST_EDITS {
        return None;
    }
    let edits = strsim::osa_distance(&fa.plain, &fb.plain);
    let allowed = MOST_EDITS.min(long / LETTERS_AN_EDIT);
    (edits <= allowed).then(|| (100 - (100 * edits / long.max(1)) as u32 - 5, Reason::Spelling))
}

/// Pairs worth a look: names that begin alike, end alike or have the same words. Where many do, only
/// neighbours in their order.
fn candidates(folded: &[Folded]) -> HashSet<(usize, usize)> {
    let mut blocks: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, name) in folded.iter().enumerate().filter(|(_, f)| !f.compact.is_empty()) {
        let head: String = name.plain.chars().take(EDGE).collect();
        let tail: String = name.plain.chars().rev().take(EDGE).collect();
        let mut words = name.words.clone();
        words.sort();
        for key in
            [format!("={}", name.compact), format!("^{head}"), format!("${tail}"), format!("#{}", words.join(" "))]
        {
            blocks.entry(key).or_default().push(at);
        }
    }
    let mut pairs = HashSet::new();
    for (key, mut block) in blocks {
        let reverse = key.starts_with('$');
        block.sort_by_cached_key(|at| {
            let plain = folded.get(*at).map(|f| f.plain.clone()).unwrap_or_default();
            if reverse { plain.chars().rev().collect() } else { plain }
        });
        for (i, one) in block.iter().enumerate() {
            for other in block.iter().skip(i + 1).take(NEIGHBOURS) {
                pairs.insert((*one.min(other), *one.max(other)));
            }
        }
    }
    pairs
}

/// Names that links hold together.
fn gather(names: &[Name], mut links: Vec<(u32, Reason, usize, usize)>) -> Vec<Group> {
    links.sort_by(|a, b| b.0.cmp(&a.0).then(a.2.cmp(&b.2)).then(a.3.cmp(&b.3)));
    let mut group_of: HashMap<usize, usize> = HashMap::new();
    let mut groups: Vec<(u32, Reason, BTreeSet<usize>)> = Vec::new();
    for (score, reason, one, other) in links {
        match (group_of.get(&one).copied(), group_of.get(&other).copied()) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => {
                let members = groups.get_mut(b).map(|g| std::mem::take(&mut g.2)).unwrap_or_default();
                group_of.extend(members.iter().map(|member| (*member, a)));
                join(groups.get_mut(a), score, reason, members);
            }
            (Some(a), None) | (None, Some(a)) => {
                group_of.extend([(one, a), (other, a)]);
                join(groups.get_mut(a), score, reason, BTreeSet::from([one, other]));
            }
            (None, None) => {
                group_of.extend([(one, groups.len()), (other, groups.len())]);
                groups.push((score, reason, BTreeSet::from([one, other])));
            }
        }
    }
    let filled = groups.into_iter().filter(|(_, _, members)| !members.is_empty());
    let mut out: Vec<Group> = filled
        .map(|(score, reason, members)| Group {
            score,
            reason,
            names: members.into_iter().filter_map(|at| names.get(at).cloned()).collect(),
        })
        .collect();
    out.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| first(a).cmp(first(b))));
    out
}

fn first(group: &Group) -> &str {
    group.names.first().map(|name| name.text.as_str()).unwrap_or_default()
}

fn join(group: Option<&mut (u32, Reason, BTreeSet<usize>)>, score: u32, reason: Reason, members: BTreeSet<usize>) {
    if let Some(group) = group {
        group.0 = group.0.min(score);
        group.1 = group.1.max(reason);
        group.2.extend(members);
    }
}

/// Abbreviations by the first word of the long form.
struct Table {
    long: HashMap<String, Vec<(Vec<String>, String)>>,
    short: HashMap<String, String>,
}

impl Table {
    fn new(own: &BTreeMap<SmolStr, Vec<String>>) -> Self {
        let shipped = ABBREVIATIONS.iter().map(|(short, long)| ((*short).to_owned(), (*long).to_owned()));
        let further = own.iter().flat_map(|(short, longs)| longs.iter().map(|long| (short.to_string(), long.clone())));
        let mut table = Table { long: HashMap::new(), short: HashMap::new() };
        // The same long form makes all of its short forms one.
        let mut by_long: HashMap<Vec<String>, String> = HashMap::new();
        for (short, long) in shipped.chain(further) {
            let (short, words) = (fold_words(&short).concat(), fold_words(&long));
            let canonical = table.short.get(&short).cloned().or_else(|| by_long.get(&words).cloned());
            let canonical = canonical.unwrap_or_else(|| short.clone());
            by_long.insert(words.clone(), canonical.clone());
            table.short.insert(short, canonical.clone());
            if let Some(head) = words.first().cloned() {
                table.long.entry(head).or_default().push((words, canonical));
            }
        }
        for list in table.long.values_mut() {
            list.sort_by_key(|(words, _)| std::cmp::Reverse(words.len()));
        }
        table
    }

    fn fold(&self, text: &str) -> Folded {
        let words = fold_words(text);
        let compact = words.concat();
        let mut out = Vec::new();
        let mut rest: &[String] = &words;
        while let [word, tail @ ..] = rest {
            let long = self.long.get(word).and_then(|list| list.iter().find(|(long, _)| rest.starts_with(long)));
            if let Some((long, short)) = long {
                out.push(short.clone());
                rest = rest.get(long.len()..).unwrap_or_default();
                continue;
            }
            if !SMALL.contains(&word.as_str()) {
                out.push(self.short.get(word).unwrap_or(word).clone());
            }
            rest = tail;
        }
        let is_number = |w: &&String| {
            w.chars().any(|c| c.is_ascii_digit()) || w.chars().all(|c| matches!(c, 'i' | 'v' | 'x')) || w.len() == 1
        };
        let numbers = out.iter().filter(is_number).cloned().collect();
        Folded { compact, plain: out.concat(), numbers, words: out }
    }
}

/// Lower case without accents, cut at everything that is neither letter nor digit.
fn fold_words(text: &str) -> Vec<String> {
    let plain: String = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect();
    let plain = plain.replace('œ', "oe").replace('æ', "ae");
    plain.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(at: usize, text: &str) -> Name {
        Name { text: text.to_owned(), attribute: "ou".into(), bearer: Bearer::Structure(format!("ou={at}")) }
    }

    /// What two names have to do with each other.
    fn check(one: &str, other: &str, expected: Option<Reason>) {
        let groups = near_duplicates(&[structure(1, one), structure(2, other)], &BTreeMap::new());
        assert_eq!(groups.first().map(|g| g.reason), expected, "{one} / {other}: {groups:?}");
    }

    #[test]
    fn pairs() {
        use Reason::*;
        check("DSI", "DSI", Some(SameText));
        check("Bibliothèque universitaire", "BIBLIOTHEQUE  UNIVERSITAIRE", Some(CaseAccentsOrSpacing));
        check("Saint-Étienne", "Saint Etienne", Some(CaseAccentsOrSpacing));
        check("Œuvres sociales", "oeuvres-sociales", Some(CaseAccentsOrSpacing));
        check("UFR Sciences", "Unité de formation et de recherche de sciences", Some(Abbreviation));
        check("Dépt. de chimie", "Département de chimie", Some(Abbreviation));
        check("Dept chimie", "Dpt de Chimie", Some(Abbreviation));
        check("Univ. St-Denis", "Université de Saint Denis", Some(Abbreviation));
        check("Langues et lettres", "Lettres et langues", Some(OrderOfWords));
        check("Laboratoire de physique", "Laboratoire de phisique", Some(Spelling));
        check("Service des achats", "Service des archives", None);
        check("UFR 1", "UFR 2", None);
        check("Paris I", "Paris II", None);
        check("Bâtiment A", "Bâtiment B", None);
        check("Droit", "Trois", None);
    }

    #[test]
    fn own_abbreviations_and_people() {
        let own = BTreeMap::from([(SmolStr::new("linv"), vec!["Laboratoire d'informatique de Valmont".to_owned()])]);
        let people = |text: &str, n| Name { text: text.to_owned(), attribute: "o".into(), bearer: Bearer::People(n) };
        let names = [
            structure(1, "LINV"),
            structure(2, "Laboratoire d'informatique de Valmont"),
            people("LINV", 3),
            people("linv", 1),
        ];
        let groups = near_duplicates(&names, &own);
        assert_eq!(groups.len(), 1, "{groups:?}");
        assert_eq!((groups[0].score, groups[0].names.len()), (95, 4));
        let itself = [Name { attribute: "description".into(), ..names[0].clone() }, names[0].clone()];
        assert_eq!(near_duplicates(&itself, &own), []);
    }

    #[test]
    fn ten_thousand_names_are_no_hour_of_work() {
        let names: Vec<Name> = (0..10_000).map(|n| structure(n, &format!("Service du bureau numéro {n}"))).collect();
        let mut names = names;
        names.push(structure(10_000, "SERVICE DU BUREAU NUMERO 77"));
        let groups = near_duplicates(&names, &BTreeMap::new());
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].reason, Reason::CaseAccentsOrSpacing);
    }
}
