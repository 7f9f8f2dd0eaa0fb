use serde_json::{Map, Value};

/// A table of the configuration as the JSON that a plugin gets. Dates are strings.
pub(crate) fn from_toml(table: &toml::Table) -> String {
    Value::Object(object(table)).to_string()
}

fn object(table: &toml::Table) -> Map<String, Value> {
    table.iter().map(|(key, item)| (key.clone(), value(item))).collect()
}

fn value(item: &toml::Value) -> Value {
    match item {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(items) => items.iter().map(value).collect(),
        toml::Value::Table(table) => Value::Object(object(table)),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_table_becomes_json() {
        let table = "a = 1\nb = [true, 1.5]\nc = 2026-01-02\n[d]\ne = \"f\"".parse().unwrap();
        assert_eq!(super::from_toml(&table), r#"{"a":1,"b":[true,1.5],"c":"2026-01-02","d":{"e":"f"}}"#);
        assert_eq!(super::from_toml(&toml::Table::new()), "{}");
    }
}
