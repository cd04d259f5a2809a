//! `--format`: text with fields in it, as users of other image tools know it. Only the fields, and none of the
//! language around them.

/// The fields of an image.
const IMAGES: [&str; 11] = [
    "Name",
    "Repository",
    "Tag",
    "Digest",
    "Platform",
    "Size",
    "Bytes",
    "Created",
    "Used",
    "Rootfs",
    "State",
];

/// What is printed for each thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(&'static str),
}

impl Template {
    /// Reads a template for images.
    pub(crate) fn for_images(text: &str) -> Result<Template, String> {
        Template::parse(text, &IMAGES)
    }

    fn parse(text: &str, fields: &[&'static str]) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            let (inside, behind) =
                behind.split_once("}}").ok_or_else(|| format!("\"{{{{{behind}\" is not closed"))?;
            let name = inside.trim().strip_prefix('.');
            let field = fields.iter().find(|field| Some(**field) == name).ok_or_else(|| {
                format!("there is no {{{{{inside}}}}}, but {{{{.{}}}}}", fields.join("}}, {{."))
            })?;
            pieces.extend([Piece::Text(unescaped(before)), Piece::Field(field)]);
            rest = behind;
        }
        pieces.push(Piece::Text(unescaped(rest)));
        Ok(Template(pieces))
    }

    /// The text with its fields filled in.
    pub(crate) fn fill(&self, value: impl Fn(&str) -> String) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Field(name) => value(name),
        };
        self.0.iter().map(piece).collect()
    }
}

fn unescaped(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        for (text, filled) in [
            ("", ""),
            ("plain", "plain"),
            ("{{.Name}}", "<Name>"),
            ("{{ .Name }}\\t{{.Tag}}!", "<Name>\t<Tag>!"),
            ("{.Name} }}", "{.Name} }}"),
        ] {
            let template = Template::for_images(text).unwrap();
            assert_eq!(template.fill(|name| format!("<{name}>")), filled, "{text}");
        }
        for (text, said) in [
            ("{{.Name", "\"{{.Name\" is not closed"),
            ("{{Name}}", "there is no {{Name}}, but {{.Name}}, {{.Repository}}"),
            ("{{.Nothing}}", "there is no {{.Nothing}}, but"),
            ("{{json .}}", "there is no {{json .}}, but"),
        ] {
            let error = Template::for_images(text).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
