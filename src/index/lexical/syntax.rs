//! The syntax of queries: `"a phrase"`, `"near words"~3`, `+must`, `-not`, `AND`, `OR`, `NOT`,
//! `(groups)`, `fuzzy~`, `fuzzy~2`.
//!
//! `OR` binds less than `AND`, and `AND` less than words side by side, of which any may be there
//! and `+` and `-` say which must and which must not. A word with a sign in it (`e-mail`) and a run
//! without spaces are phrases.

use super::error::QueryError;
use crate::document::words::{Writing, words};

/// The most words, phrases and groups of a query.
const CLAUSES_MAX: usize = 256;
/// The deepest nesting of groups.
const DEPTH_MAX: usize = 16;
/// The most letters that a fuzzy word may differ in.
const DISTANCE_MAX: u8 = 2;
/// The most words that may stand between those of a phrase.
const SLOP_MAX: u32 = 100;

/// What is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// These words one after another, or at most so many moves apart.
    Phrase {
        /// The words; at least one.
        text: String,
        /// How many moves.
        slop: u32,
    },
    /// Words that differ from this one in at most so many letters.
    Fuzzy {
        /// The word.
        word: String,
        /// How many letters.
        distance: u8,
    },
    /// Each of `must`, none of `must_not`, and better with more of `should`: at least one of them if
    /// `must` is empty. Never without both.
    Group {
        /// What has to be there.
        must: Vec<Node>,
        /// What may be there.
        should: Vec<Node>,
        /// What must not be there.
        must_not: Vec<Node>,
    },
}

/// Reads a query.
pub(super) fn parse(text: &str) -> Result<Node, QueryError> {
    let mut parser = Parser { text, position: 0, clauses: 0 };
    let node = parser.alternatives(1)?;
    match parser.peek() {
        None => Ok(node),
        // Only a closing parenthesis ends a group before the text ends.
        Some(_) => Err(parser.error("`)` closes no group")),
    }
}

struct Parser<'t> {
    text: &'t str,
    position: usize,
    clauses: usize,
}

/// How a clause takes part in its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Must,
    Should,
    MustNot,
}

impl<'t> Parser<'t> {
    fn alternatives(&mut self, depth: usize) -> Result<Node, QueryError> {
        if depth > DEPTH_MAX {
            return Err(QueryError::TooDeep { limit: DEPTH_MAX });
        }
        let start = self.position;
        let mut operands = vec![self.conjunction(depth)?];
        while self.take_operator("OR") {
            operands.push(self.conjunction(depth)?);
        }
        if let [single] = &mut operands[..] {
            return wanted(std::mem::take(single), start);
        }
        let mut should = Vec::new();
        for operand in operands {
            should.push(wanted(operand, start)?);
        }
        Ok(Node::Group { must: Vec::new(), should, must_not: Vec::new() })
    }

    /// Clauses joined by `AND`, as the clauses of one group.
    fn conjunction(&mut self, depth: usize) -> Result<Vec<(Sign, Node)>, QueryError> {
        let start = self.position;
        let first = self.side_by_side(depth)?;
        let mut operands = vec![first];
        while self.take_operator("AND") {
            operands.push(self.side_by_side(depth)?);
        }
        if operands.len() == 1 {
            return Ok(operands.pop().unwrap_or_default());
        }
        let mut clauses = Vec::new();
        for operand in operands {
            match &operand[..] {
                [(Sign::MustNot, _)] => clauses.extend(operand),
                _ => clauses.push((Sign::Must, wanted(operand, start)?)),
            }
        }
        Ok(clauses)
    }

    fn side_by_side(&mut self, depth: usize) -> Result<Vec<(Sign, Node)>, QueryError> {
        let mut clauses = Vec::new();
        loop {
            match self.peek() {
                None | Some(')') => break,
                Some(_) if self.is_at_operator("AND") || self.is_at_operator("OR") => break,
                Some(_) => clauses.push(self.clause(depth)?),
            }
        }
        if clauses.is_empty() {
            let next = self.peek();
            return Err(self.error(match next {
                None if self.clauses == 0 => "there is no word to search for",
                None => "something is missing after the last operator",
                Some(')') => "there is no word before `)`",
                Some(_) => "there is no word before the operator",
            }));
        }
        Ok(clauses)
    }

    fn clause(&mut self, depth: usize) -> Result<(Sign, Node), QueryError> {
        let sign = if self.take_operator("NOT") {
            Sign::MustNot
        } else {
            match self.peek() {
                Some('+') => self.take_sign('+', Sign::Must)?,
                Some('-') => self.take_sign('-', Sign::MustNot)?,
                _ => Sign::Should,
            }
        };
        self.clauses += 1;
        if self.clauses > CLAUSES_MAX {
            return Err(QueryError::TooManyClauses { limit: CLAUSES_MAX, actual: self.clauses });
        }
        let node = match self.peek() {
            None => return Err(self.error("something is missing after `NOT`")),
            Some('(') => self.group(depth)?,
            Some('"') => self.phrase()?,
            Some(_) => self.word()?,
        };
        Ok((sign, node))
    }

    fn group(&mut self, depth: usize) -> Result<Node, QueryError> {
        let opening = self.position;
        self.position += 1;
        let node = self.alternatives(depth + 1)?;
        if self.peek() != Some(')') {
            return Err(QueryError::Syntax {
                position: opening,
                reason: "`(` is never closed".to_owned(),
            });
        }
        self.position += 1;
        Ok(node)
    }

    fn phrase(&mut self) -> Result<Node, QueryError> {
        let opening = self.position;
        let rest = &self.text[opening + 1..];
        let Some(length) = rest.find('"') else {
            return Err(self.error("`\"` is never closed"));
        };
        let text = &rest[..length];
        self.require_words(text)?;
        self.position = opening + 1 + length + 1;
        let slop = match self.take_tilde() {
            None => 0,
            Some("") => return Err(self.error("`~` after a phrase needs a number")),
            Some(number) => match number.parse() {
                Ok(slop) if slop <= SLOP_MAX => slop,
                _ => {
                    let reason = format!("a phrase may be at most {SLOP_MAX} moves apart");
                    return Err(self.error(&reason));
                }
            },
        };
        Ok(Node::Phrase { text: text.to_owned(), slop })
    }

    fn word(&mut self) -> Result<Node, QueryError> {
        let rest = &self.text[self.position..];
        let is_end =
            |letter: char| letter.is_whitespace() || matches!(letter, '(' | ')' | '"' | '~');
        let length = rest.find(is_end).unwrap_or(rest.len());
        let text = &rest[..length];
        self.require_words(text)?;
        self.position += length;
        let Some(number) = self.take_tilde() else {
            return Ok(Node::Phrase { text: text.to_owned(), slop: 0 });
        };
        let mut found = words(text);
        let (Some(word), None) = (found.next(), found.next()) else {
            return Err(self.error("`~` makes a single word fuzzy; this is several"));
        };
        if word.writing == Writing::Unspaced {
            return Err(self.error("`~` is for words of scripts with spaces"));
        }
        let distance = match number {
            "" => match word.text.chars().count() {
                0..=2 => 0,
                3..=5 => 1,
                _ => DISTANCE_MAX,
            },
            number => match number.parse() {
                Ok(distance) if distance <= DISTANCE_MAX => distance,
                _ => {
                    let reason = format!("a fuzzy word differs in at most {DISTANCE_MAX} letters");
                    return Err(self.error(&reason));
                }
            },
        };
        Ok(Node::Fuzzy { word: word.text.to_owned(), distance })
    }

    fn require_words(&self, text: &str) -> Result<(), QueryError> {
        if words(text).next().is_some() {
            return Ok(());
        }
        Err(self.error(&format!("there is no word in `{text}`")))
    }

    /// Skips spaces and returns what comes next.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.position..];
        self.position += rest.len() - rest.trim_start().len();
        self.text[self.position..].chars().next()
    }

    fn is_at_operator(&self, operator: &str) -> bool {
        self.text[self.position..].strip_prefix(operator).is_some_and(|rest| {
            rest.chars()
                .next()
                .is_none_or(|next| next.is_whitespace() || next == '(' || next == '"')
        })
    }

    fn take_operator(&mut self, operator: &str) -> bool {
        let is_there = self.peek().is_some() && self.is_at_operator(operator);
        if is_there {
            self.position += operator.len();
        }
        is_there
    }

    fn take_sign(&mut self, letter: char, sign: Sign) -> Result<Sign, QueryError> {
        let next = self.text[self.position + letter.len_utf8()..].chars().next();
        if next.is_none_or(|next| next.is_whitespace() || matches!(next, ')' | '+' | '-')) {
            return Err(self.error(&format!("`{letter}` stands before nothing")));
        }
        self.position += letter.len_utf8();
        Ok(sign)
    }

    /// Takes `~` and the digits after it, which are returned.
    fn take_tilde(&mut self) -> Option<&'t str> {
        let rest = self.text[self.position..].strip_prefix('~')?;
        let digits =
            rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        self.position += 1 + digits;
        Some(&rest[..digits])
    }

    fn error(&self, reason: &str) -> QueryError {
        QueryError::Syntax { position: self.position, reason: reason.to_owned() }
    }
}

/// The node of the clauses, of which something has to be wanted.
fn wanted(clauses: Vec<(Sign, Node)>, start: usize) -> Result<Node, QueryError> {
    let (mut must, mut should, mut must_not) = (Vec::new(), Vec::new(), Vec::new());
    for (sign, node) in clauses {
        match sign {
            Sign::Must => must.push(node),
            Sign::Should => should.push(node),
            Sign::MustNot => must_not.push(node),
        }
    }
    if must.is_empty() && should.is_empty() {
        return Err(QueryError::Syntax {
            position: start,
            reason: "everything is excluded: name at least one word that is wanted".to_owned(),
        });
    }
    if must.len() + should.len() == 1 && must_not.is_empty() {
        return Ok(must.pop().or_else(|| should.pop()).unwrap_or(Node::Group {
            must,
            should,
            must_not,
        }));
    }
    Ok(Node::Group { must, should, must_not })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Node {
        Node::Phrase { text: text.to_owned(), slop: 0 }
    }

    fn group(must: &[Node], should: &[Node], must_not: &[Node]) -> Node {
        Node::Group { must: must.to_vec(), should: should.to_vec(), must_not: must_not.to_vec() }
    }

    #[test]
    fn words_side_by_side_may_be_there_and_signs_say_which_must_and_must_not() {
        assert_eq!(parse("cat").unwrap(), word("cat"));
        assert_eq!(parse("cat mouse").unwrap(), group(&[], &[word("cat"), word("mouse")], &[]));
        assert_eq!(
            parse("+cat mouse -dog").unwrap(),
            group(&[word("cat")], &[word("mouse")], &[word("dog")])
        );
        assert_eq!(parse("+cat").unwrap(), word("cat"));
        assert_eq!(parse("e-mail").unwrap(), word("e-mail"));
    }

    #[test]
    fn or_binds_less_than_and() {
        let (a, b, c) = (word("a"), word("b"), word("c"));
        let both = group(&[b.clone(), c.clone()], &[], &[]);
        assert_eq!(parse("a OR b AND c").unwrap(), group(&[], &[a.clone(), both], &[]));
        assert_eq!(
            parse("a AND NOT b").unwrap(),
            group(std::slice::from_ref(&a), &[], std::slice::from_ref(&b))
        );
        let either = group(&[], &[a, b], &[]);
        assert_eq!(parse("(a OR b) AND c").unwrap(), group(&[either, c], &[], &[]));
        // Operators are written large; small they are words.
        assert_eq!(parse("or").unwrap(), word("or"));
        assert_eq!(parse("ORbit").unwrap(), word("ORbit"));
    }

    #[test]
    fn a_tilde_makes_words_fuzzy_and_phrases_loose() {
        let fuzzy = |word: &str, distance| Node::Fuzzy { word: word.to_owned(), distance };
        assert_eq!(parse("mouse~").unwrap(), fuzzy("mouse", 1));
        assert_eq!(parse("elephant~").unwrap(), fuzzy("elephant", 2));
        assert_eq!(parse("elephant~1").unwrap(), fuzzy("elephant", 1));
        let loose = Node::Phrase { text: "cat mouse".to_owned(), slop: 3 };
        assert_eq!(parse("\"cat mouse\"~3").unwrap(), loose);
    }

    #[test]
    fn what_is_no_query_is_refused_with_the_place_and_the_reason() {
        let cases = [
            ("", 0, "there is no word to search for"),
            ("  ", 2, "there is no word to search for"),
            ("&", 0, "there is no word in `&`"),
            ("\"cat", 0, "`\"` is never closed"),
            ("\"\"", 0, "there is no word in ``"),
            ("(cat", 0, "`(` is never closed"),
            ("cat)", 3, "`)` closes no group"),
            ("()", 1, "there is no word before `)`"),
            ("cat AND", 7, "something is missing after the last operator"),
            ("cat AND AND dog", 8, "there is no word before the operator"),
            ("OR cat", 0, "there is no word before the operator"),
            ("cat NOT", 7, "something is missing after `NOT`"),
            ("-cat", 0, "everything is excluded: name at least one word that is wanted"),
            ("cat OR -dog", 0, "everything is excluded: name at least one word that is wanted"),
            ("cat - dog", 4, "`-` stands before nothing"),
            ("cat~3", 5, "a fuzzy word differs in at most 2 letters"),
            ("e-mail~", 7, "`~` makes a single word fuzzy; this is several"),
            ("猫追~", 7, "`~` is for words of scripts with spaces"),
            ("\"cat\"~", 6, "`~` after a phrase needs a number"),
            ("\"cat\"~1000", 10, "a phrase may be at most 100 moves apart"),
        ];
        for (text, position, reason) in cases {
            let expected = QueryError::Syntax { position, reason: reason.to_owned() };
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn endless_queries_are_refused() {
        assert_eq!(parse(&"(".repeat(100)), Err(QueryError::TooDeep { limit: DEPTH_MAX }));
        let many = "a ".repeat(CLAUSES_MAX + 1);
        let limit = CLAUSES_MAX;
        assert_eq!(parse(&many), Err(QueryError::TooManyClauses { limit, actual: limit + 1 }));
    }

    #[test]
    fn no_text_makes_the_parser_panic() {
        let pieces = [
            "a", "猫", "\"", "(", ")", "+", "-", "~", "~2", " ", "AND", "OR", "NOT", "é", "\u{301}",
        ];
        let mut state = 1u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..8 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
            }
            drop(parse(&text));
        }
    }
}
