//! What is wrong with a value, as a keyword and its parts, and the one table of the words for it in
//! each language. A stored value is never a part.

use serde::Deserialize;

/// A language that violations of class rules are told in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    #[default]
    En,
    Fr,
}

impl Language {
    /// The language that a client likes best among those there are, by its Accept-Language
    /// (RFC 9110 section 12.5.4). `None` if it asks for none of them.
    pub fn accepted(header: &str) -> Option<Self> {
        let mut best: Option<(f32, Language)> = None;
        for range in header.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|p| p.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f32>().ok());
            let language = match tag.split('-').next() {
                Some("en") => Language::En,
                Some("fr") => Language::Fr,
                _ => continue,
            };
            if let Some(weight) = weight.filter(|w| *w > 0.0)
                && best.is_none_or(|(w, _)| weight > w)
            {
                best = Some((weight, language));
            }
        }
        best.map(|(_, language)| language)
    }
}

macro_rules! texts {
    ($($name:ident $en:literal $fr:literal;)*) => {
        /// What is wrong with a value. `{0}` and `{1}` in its text stand for the parts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Said { $($name),* }

        impl Said {
            #[cfg(test)]
            pub(super) const ALL: &[Said] = &[$(Said::$name),*];

            pub(super) fn text(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Said::$name, Language::En) => $en, (Said::$name, Language::Fr) => $fr,)*
                }
            }
        }
    };
}

texts! {
    Required "is required" "est obligatoire";
    Described "expected {0}" "attendu : {0}";
    Other "breaks the rule {0}" "ne respecte pas la règle {0}";
    // Types.
    OneValue "expected one value" "une seule valeur est attendue";
    TypeString "expected text" "un texte est attendu";
    TypeNumber "expected a number" "un nombre est attendu";
    TypeInteger "expected a whole number" "un nombre entier est attendu";
    TypeBoolean "expected TRUE or FALSE" "TRUE ou FALSE est attendu";
    TypeArray "expected a list" "une liste est attendue";
    TypeObject "expected a JSON object" "un objet JSON est attendu";
    TypeDate "expected a date such as 2026-09-01, or a date and time" "une date telle que 2026-09-01, ou une date et heure, est attendue";
    // JSON Schema.
    MinLength "expected at least {0} characters" "au moins {0} caractères sont attendus";
    MaxLength "expected at most {0} characters" "au plus {0} caractères sont attendus";
    Pattern "does not match the pattern {0}" "ne correspond pas au motif {0}";
    Format "is not of the format {0}" "n'est pas au format {0}";
    MinItems "expected at least {0} values" "au moins {0} valeurs sont attendues";
    MaxItems "expected at most {0} values" "au plus {0} valeurs sont attendues";
    UniqueItems "a value occurs twice" "une valeur est en double";
    Contains "no value has the form that one must have" "aucune valeur n'a la forme que l'une doit avoir";
    Minimum "expected {0} or more" "{0} ou plus est attendu";
    Maximum "expected {0} or less" "{0} ou moins est attendu";
    ExclusiveMinimum "expected more than {0}" "plus de {0} est attendu";
    ExclusiveMaximum "expected less than {0}" "moins de {0} est attendu";
    MultipleOf "expected a multiple of {0}" "un multiple de {0} est attendu";
    Enum "expected one of: {0}" "une des valeurs suivantes est attendue : {0}";
    Const "expected {0}" "{0} est attendu";
    // Words of the older engine.
    Trim "must not begin or end with a blank" "ne doit ni commencer ni finir par une espace";
    Lowercase "must be in lower case" "doit être en minuscules";
    Uppercase "must be in upper case" "doit être en majuscules";
    CamelCase "expected letters and digits, the first letter small, as in camelCase" "des lettres et chiffres, la première lettre en minuscule, sont attendus, comme dans camelCase";
    ConstantCase "expected capital letters, digits and underscores, as in CONSTANT_CASE" "des majuscules, chiffres et soulignés sont attendus, comme dans CONSTANT_CASE";
    Positive "expected a number above 0" "un nombre supérieur à 0 est attendu";
    Negative "expected a number below 0" "un nombre inférieur à 0 est attendu";
    MinDate "expected {0} or later" "{0} ou une date postérieure est attendue";
    MaxDate "expected {0} or earlier" "{0} ou une date antérieure est attendue";
    // SupAnn.
    CompositeForm "expected [key=value] fields and nothing between them; it breaks off at character {0}" "des champs [clé=valeur] sans rien entre eux sont attendus ; rupture au caractère {0}";
    CompositeMissing "the key {0} is missing" "la clé {0} manque";
    CompositeTwice "the key {0} occurs twice" "la clé {0} est en double";
    CompositeOrder "the key {0} must stand before {1}" "la clé {0} doit précéder {1}";
    CompositeField "under the key {0}: {1}" "sous la clé {0} : {1}";
    TaggedForm "expected {TAG}value, without braces or a leading blank in the value; it breaks off at character {0}" "la forme {ÉTIQUETTE}valeur est attendue, sans accolade ni espace initiale dans la valeur ; rupture au caractère {0}";
    TaggedTag "the tag must be one of {0}, or a local one such as {UAI:0123456X:NAME}" "l'étiquette doit être parmi {0}, ou locale telle que {UAI:0123456X:NOM}";
    TaggedClosed "the tag must be one of {0}" "l'étiquette doit être parmi {0}";
    TaggedLocal "a local tag is {UAI:code} or {SIRET:number}, with :NAME behind it if the establishment has several" "une étiquette locale est {UAI:code} ou {SIRET:numéro}, suivie de :NOM si l'établissement en a plusieurs";
    TaggedValue "behind the tag {0}: {1}" "derrière l'étiquette {0} : {1}";
    EtatForm "expected {RESOURCE}STATE or {RESOURCE}STATE:SUBSTATE" "la forme {RESSOURCE}ÉTAT ou {RESSOURCE}ÉTAT:SOUS-ÉTAT est attendue";
    EtatState "the state is A, I or S" "l'état est A, I ou S";
    EtatSubstate "the substate of {0} is one of {1}" "le sous-état de {0} est parmi {1}";
    EtatDateForm "expected {RESOURCE}STATE:SUBSTATE:START:END, always with 3 colons behind the state" "la forme {RESSOURCE}ÉTAT:SOUS-ÉTAT:DÉBUT:FIN est attendue, toujours avec 3 deux-points après l'état";
    EtatDateStart "the start is a day YYYYMMDD or empty" "le début est un jour AAAAMMJJ ou vide";
    EtatDateEnd "the end is a day YYYYMMDD or empty" "la fin est un jour AAAAMMJJ ou vide";
    UaiForm "a UAI code is 7 digits and a letter" "un code UAI est formé de 7 chiffres et d'une lettre";
    UaiLetter "the check letter of the UAI code is wrong" "la lettre de contrôle du code UAI est fausse";
    SiretForm "a SIRET number is 14 digits" "un numéro SIRET est formé de 14 chiffres";
    SiretSum "the check digit of the SIRET number is wrong" "la clé de contrôle du numéro SIRET est fausse";
    Ine "an INE is 11 characters: 10 digits and a letter, 9 digits and 2 letters, or letters and digits with a digit at the end" "un INE est formé de 11 caractères : 10 chiffres et une lettre, 9 chiffres et 2 lettres, ou lettres et chiffres avec un chiffre à la fin";
    E164 "expected + and 2 to 15 digits, the first not 0, as in +33123456789" "un + suivi de 2 à 15 chiffres est attendu, le premier différent de 0, comme +33123456789";
    // Between attributes.
    NotAmong "must be one of the values of {0}" "doit être une des valeurs de {0}";
    Excludes "the values {0} exclude each other" "les valeurs {0} s'excluent";
    Repeats "must repeat what {0} holds under the key {1}" "doit répéter ce que {0} porte sous la clé {1}";
    // Identities.
    IdentityUid "is required of an identity" "est obligatoire pour une identité";
}

/// Why a value is refused, to be told in any language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub said: Said,
    parts: Vec<Part>,
    /// What the author of the rule says of the value, told with it.
    words: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Word(String),
    Reason(Reason),
}

impl Reason {
    pub fn new(said: Said) -> Self {
        Reason { said, parts: Vec::new(), words: None }
    }

    #[must_use]
    pub fn with(mut self, part: impl ToString) -> Self {
        self.parts.push(Part::Word(part.to_string()));
        self
    }

    /// What is wrong inside a part of the value.
    #[must_use]
    pub(super) fn because(mut self, inner: Reason) -> Self {
        self.parts.push(Part::Reason(inner));
        self
    }

    #[must_use]
    pub(super) fn in_words(mut self, words: &str) -> Self {
        self.words = (!words.is_empty()).then(|| words.to_owned());
        self
    }

    pub fn text(&self, language: Language) -> String {
        let mut text = String::new();
        let mut rest = self.said.text(language);
        // Braces that hold no number are the text's own.
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let number = after.split_once('}').and_then(|(n, tail)| Some((n.parse::<usize>().ok()?, tail)));
            match number {
                Some((number, tail)) => {
                    match self.parts.get(number) {
                        Some(Part::Word(word)) => text.push_str(word),
                        Some(Part::Reason(inner)) => text.push_str(&inner.text(language)),
                        None => {}
                    }
                    rest = tail;
                }
                None => {
                    text.push('{');
                    rest = after;
                }
            }
        }
        text.push_str(rest);
        if let Some(words) = &self.words {
            text.push_str("; ");
            text.push_str(&Said::Described.text(language).replace("{0}", words));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_in_both_languages_with_the_same_parts() {
        for said in Said::ALL {
            let (en, fr) = (said.text(Language::En), said.text(Language::Fr));
            for part in ["{0}", "{1}", "{2}"] {
                assert_eq!(en.contains(part), fr.contains(part), "{said:?} {part}");
            }
            assert!(!en.is_empty() && en != fr, "{said:?}");
        }
    }

    #[test]
    fn parts_stand_where_the_text_wants_them() {
        let inner = Reason::new(Said::Pattern).with("^{0}$");
        let reason = Reason::new(Said::CompositeField).with("etab").because(inner).in_words("a code");
        assert_eq!(reason.text(Language::En), "under the key etab: does not match the pattern ^{0}$; expected a code");
        assert_eq!(reason.text(Language::Fr), "sous la clé etab : ne correspond pas au motif ^{0}$; attendu : a code");
        let tag = Reason::new(Said::TaggedTag).with("A, B").text(Language::En);
        assert_eq!(tag, "the tag must be one of A, B, or a local one such as {UAI:0123456X:NAME}");
    }

    #[test]
    fn clients_say_which_language_they_like() {
        for (header, expected) in [
            ("fr", Some(Language::Fr)),
            ("fr-FR,en;q=0.5", Some(Language::Fr)),
            ("fr;q=0.2, en-GB;q=0.8", Some(Language::En)),
            ("de, fr;q=0.1", Some(Language::Fr)),
            ("de", None),
            ("fr;q=0", None),
            ("*", None),
            ("", None),
            ("fr;q=x", None),
        ] {
            assert_eq!(Language::accepted(header), expected, "{header}");
        }
    }
}
