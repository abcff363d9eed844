//! Measured answers beside ours: what agrees, what a rule covers, what is wrong.

use std::collections::HashMap;

use anyhow::{Context, Result};

/// One line of the table: what a backend answered in one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) scenario: String,
    pub(crate) case: String,
    /// A QNN code in digits, or a word.
    pub(crate) result: String,
    pub(crate) detail: String,
}

impl Answer {
    /// Result and detail, for people.
    pub(crate) fn shown(&self) -> String {
        format!("{}  {}", self.result, self.detail).trim_end().to_owned()
    }

    /// The process ended or had to be ended, which no rule excuses.
    fn is_broken(&self) -> bool {
        ["crashed", "hangs", "ended early"].iter().any(|word| self.result.starts_with(word))
    }

    fn matches(&self, other: &Answer) -> bool {
        glob(&self.result, &other.result) && glob(&self.detail, &other.detail)
    }
}

/// A rule of `differences.toml`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Difference {
    /// `scenario/case`, with `*`.
    cases: Vec<String>,
    result: String,
    #[serde(default = "anything")]
    detail: String,
    pub(crate) reason: String,
    pub(crate) decision: String,
}

fn anything() -> String {
    "*".into()
}

impl Difference {
    fn covers(&self, name: &str, answer: &Answer) -> bool {
        self.cases.iter().any(|pattern| glob(pattern, name))
            && glob(&self.result, &answer.result)
            && glob(&self.detail, &answer.detail)
    }
}

/// What is thought of one case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Agree,
    /// Index of the rule that covers it.
    Purpose(usize),
    Wrong,
}

impl Verdict {
    /// Its place in the printed table.
    pub(crate) fn column(self) -> usize {
        match self {
            Verdict::Agree => 0,
            Verdict::Purpose(_) => 1,
            Verdict::Wrong => 2,
        }
    }
}

/// Whose answers are compared, and how many.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    /// They are this library's, which answers always.
    pub(crate) ours: bool,
    /// No scenario was left out.
    pub(crate) whole: bool,
}

/// One case with both answers.
pub(crate) struct Case {
    pub(crate) measured: Answer,
    pub(crate) answer: Answer,
    pub(crate) verdict: Verdict,
}

impl Case {
    /// As rules name it.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.measured.scenario, self.measured.case)
    }

    /// The scenario's subject: its name up to the first dot.
    pub(crate) fn area(&self) -> &str {
        let scenario = &self.measured.scenario;
        let area = scenario.split('.').next().unwrap_or(scenario);
        area.trim_end_matches(|last: char| last.is_ascii_digit())
    }
}

/// All cases of a run.
pub(crate) struct Comparison {
    pub(crate) cases: Vec<Case>,
    pub(crate) differences: Vec<Difference>,
    /// What is wrong beside the answers: questions nobody measured, rules nothing needs.
    pub(crate) complaints: Vec<String>,
}

impl Comparison {
    /// Pairs measured and given answers by name.
    pub(crate) fn new(
        measured: Vec<Answer>,
        answers: Vec<Answer>,
        differences: Vec<Difference>,
        asked: Asked,
    ) -> Self {
        let mut given: HashMap<_, _> = numbered(answers).into_iter().collect();
        let mut used: Vec<_> = differences.iter().map(|it| vec![false; it.cases.len()]).collect();
        let mut cases = Vec::new();
        for (name, measured) in numbered(measured) {
            let answer = given.remove(&name).unwrap_or_else(|| Answer {
                result: "(no answer)".into(),
                detail: String::new(),
                ..measured.clone()
            });
            let name = format!("{}/{}", measured.scenario, measured.case);
            let rule = || differences.iter().position(|rule| rule.covers(&name, &answer));
            let verdict = if asked.ours && answer.is_broken() {
                Verdict::Wrong
            } else if measured.matches(&answer) {
                Verdict::Agree
            } else {
                rule().map_or(Verdict::Wrong, Verdict::Purpose)
            };
            if let Verdict::Purpose(index) = verdict {
                for (used, pattern) in used[index].iter_mut().zip(&differences[index].cases) {
                    *used |= glob(pattern, &name);
                }
            }
            cases.push(Case { measured, answer, verdict });
        }
        let mut complaints: Vec<String> = given
            .into_values()
            .map(|answer| format!("not measured: {}/{}", answer.scenario, answer.case))
            .collect();
        complaints.sort();
        let patterns = differences.iter().flat_map(|rule| &rule.cases).zip(used.iter().flatten());
        for (pattern, _) in patterns.filter(|(_, used)| asked.whole && !**used) {
            complaints.push(format!("a pattern of a rule that nothing needs: {pattern}"));
        }
        Comparison { cases, differences, complaints }
    }

    /// Wrong answers and complaints.
    pub(crate) fn wrong(&self) -> usize {
        let wrong = self.cases.iter().filter(|case| case.verdict == Verdict::Wrong).count();
        wrong + self.complaints.len()
    }
}

/// Name and how often it occurred before.
type Key = (String, String, usize);

fn numbered(answers: Vec<Answer>) -> Vec<(Key, Answer)> {
    let mut seen: HashMap<(String, String), usize> = HashMap::new();
    let mut keyed = Vec::with_capacity(answers.len());
    for answer in answers {
        let count = seen.entry((answer.scenario.clone(), answer.case.clone())).or_default();
        keyed.push(((answer.scenario.clone(), answer.case.clone(), *count), answer));
        *count += 1;
    }
    keyed
}

/// Reads lines of scenario, case, result and detail; `#` begins a comment.
pub(crate) fn parse(text: &str) -> Result<Vec<Answer>> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let mut fields = line.split('\t').map(|field| field.trim().to_owned());
            let mut field = || fields.next();
            let (scenario, case, result) = (field(), field(), field());
            Ok(Answer {
                scenario: scenario.with_context(|| format!("no scenario: {line}"))?,
                case: case.with_context(|| format!("no case: {line}"))?,
                result: result.with_context(|| format!("no result: {line}"))?,
                detail: field().unwrap_or_default(),
            })
        })
        .collect()
}

/// True if `pattern` matches all of `text`; `*` stands for any number of characters.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, rest)) => {
            let Some(after) = text.strip_prefix(before) else {
                return false;
            };
            let ends = after.char_indices().map(|(index, _)| index).chain([after.len()]);
            ends.into_iter().any(|index| glob(rest, &after[index..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<Difference> {
        #[derive(serde::Deserialize)]
        struct File {
            difference: Vec<Difference>,
        }
        toml::from_str::<File>(text).unwrap().difference
    }

    const RULE: &str = "[[difference]]\ncases = ['log/*']\nresult = '7'\nreason = 'r'\n\
                        decision = 'C-01'\n";

    const ALL_OURS: Asked = Asked { ours: true, whole: true };

    #[test]
    fn stars_match_any_text() {
        assert!(glob("*", "") && glob("a*c", "abbc") && glob("*b*", "abc") && glob("a", "a"));
        assert!(!glob("a", "ab") && !glob("a*c", "abd") && !glob("", "a"));
    }

    #[test]
    fn an_answer_agrees_is_covered_or_is_wrong() {
        let measured = parse("log\ta\t0\tn=1\nlog\tb\t5\nlog\tc\t5\n").unwrap();
        let answers = parse("log\ta\t0\tn=1\nlog\tb\t7\nlog\tc\t8\n").unwrap();
        let comparison = Comparison::new(measured, answers, rules(RULE), ALL_OURS);
        let verdicts: Vec<Verdict> = comparison.cases.iter().map(|case| case.verdict).collect();
        assert_eq!(verdicts, [Verdict::Agree, Verdict::Purpose(0), Verdict::Wrong]);
        assert_eq!(comparison.wrong(), 1);
    }

    #[test]
    fn a_case_may_come_twice_and_each_is_compared() {
        let measured = parse("log\ta\t0\nlog\ta\t1\n").unwrap();
        let answers = parse("log\ta\t0\nlog\ta\t0\n").unwrap();
        assert_eq!(Comparison::new(measured, answers, Vec::new(), ALL_OURS).wrong(), 1);
    }

    #[test]
    fn lacking_and_invented_answers_and_idle_rules_are_wrong() {
        let measured = parse("log\ta\t0\n").unwrap();
        let answers = parse("log\tb\t0\n").unwrap();
        let comparison = Comparison::new(measured, answers, rules(RULE), ALL_OURS);
        assert_eq!(comparison.cases[0].answer.result, "(no answer)");
        assert_eq!(comparison.wrong(), 3);
    }

    #[test]
    fn whoever_crashes_or_hangs_is_wrong_if_it_is_this_library() {
        let text = "log\ta\tcrashed (SIGSEGV)\nlog\tb\t0\n";
        let answers = "log\ta\tcrashed (SIGSEGV)\nlog\tb\thangs\n";
        let excuse = RULE.replace("'7'", "'*'");
        let compare = |ours| {
            let (measured, answers) = (parse(text).unwrap(), parse(answers).unwrap());
            let asked = Asked { ours, whole: false };
            let comparison = Comparison::new(measured, answers, rules(&excuse), asked);
            comparison.cases.iter().map(|case| case.verdict).collect::<Vec<_>>()
        };
        assert_eq!(compare(true), [Verdict::Wrong, Verdict::Wrong]);
        assert_eq!(compare(false), [Verdict::Agree, Verdict::Purpose(0)]);
    }

    #[test]
    fn each_pattern_of_a_rule_must_be_needed() {
        let (measured, answers) = (parse("log\ta\t0\n").unwrap(), parse("log\ta\t7\n").unwrap());
        let two = RULE.replace("['log/*']", "['log/*', 'log/b']");
        let comparison = Comparison::new(measured, answers, rules(&two), ALL_OURS);
        assert_eq!(comparison.complaints, ["a pattern of a rule that nothing needs: log/b"]);
    }
}
