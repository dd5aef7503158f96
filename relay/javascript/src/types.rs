//! Takes types out of TypeScript, by writing spaces over them: every line and column stays where it was.
//!
//! What TypeScript compiles to something (enumerations, namespaces with code, parameter properties) is
//! refused, as Node refuses it.

use oxc_ast::ast::*;
use oxc_ast_visit::{Visit, walk};
use oxc_span::{GetSpan as _, Span};
use oxc_syntax::scope::ScopeFlags;

use crate::Error;
use crate::source::File;

/// What may stand before the name of a member of a class, and means something to TypeScript alone.
const MODIFIERS: [&str; 7] = [
    "public",
    "private",
    "protected",
    "readonly",
    "override",
    "declare",
    "abstract",
];
/// What may stand there and means something to JavaScript.
const OTHER_MODIFIERS: [&str; 5] = ["static", "async", "accessor", "get", "set"];

/// The text without its types.
pub(crate) fn strip(file: File<'_>, program: &Program<'_>) -> Result<String, Error> {
    let mut eraser = Eraser {
        text: file.text,
        bytes: file.text.as_bytes().to_vec(),
        refused: None,
    };
    eraser.visit_program(program);
    if let Some((at, what)) = eraser.refused {
        return Err(file.error(
            at,
            format!(
                "{what} would have to be compiled, and types are only taken out; write it in plain JavaScript"
            ),
        ));
    }
    let text = String::from_utf8(eraser.bytes);
    text.map_err(|error| {
        Error::Tool(anyhow::anyhow!(
            "types were cut in the middle of a character: {error}"
        ))
    })
}

struct Eraser<'t> {
    text: &'t str,
    bytes: Vec<u8>,
    refused: Option<(u32, &'static str)>,
}

impl Eraser<'_> {
    /// Writes spaces from one byte to before another. Lines stay.
    fn erase(&mut self, start: u32, end: u32) {
        for byte in &mut self.bytes[start as usize..end as usize] {
            if !matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }

    /// The same with a whole statement. What stands before it ends where it ended.
    fn erase_statement(&mut self, span: Span) {
        self.erase(span.start, span.end);
        self.bytes[span.start as usize] = b';';
    }

    /// The same with what follows an expression. Without it, the next line may go on with the expression,
    /// which ended there before.
    fn erase_after(&mut self, expression: Span, whole: Span) {
        self.erase(expression.end, whole.end);
        let rest = &self.text[whole.end as usize..];
        let next = rest.trim_start();
        let is_on_another_line = rest[..rest.len() - next.len()].contains('\n');
        if is_on_another_line && next.starts_with(['(', '[', '`']) {
            self.bytes[expression.end as usize] = b';';
        }
    }

    /// A mark such as `?` or `!` between a name and what follows it.
    fn erase_mark(&mut self, after: u32, before: u32, mark: char) {
        if let Some(at) = self.text[after as usize..before as usize].find(mark) {
            let at = after + u32::try_from(at).unwrap_or(0);
            self.erase(at, at + 1);
        }
    }

    /// A word, and the comma or whatever separates it from the next.
    fn erase_with_comma(&mut self, span: Span) {
        let rest = &self.text[span.end as usize..];
        let next = rest.trim_start();
        let skipped = u32::try_from(rest.len() - next.len()).unwrap_or(0);
        let comma = if next.starts_with(',') { skipped + 1 } else { 0 };
        self.erase(span.start, span.end + comma);
    }

    /// The words before the name of a member.
    fn erase_modifiers(&mut self, start: u32, key: u32) {
        let mut at = start as usize;
        while let Some(word) = word(&self.text[at..key as usize]) {
            let length = u32::try_from(word.len()).unwrap_or(0);
            let start = u32::try_from(at).unwrap_or(0);
            if MODIFIERS.contains(&word) {
                self.erase(start, start + length);
                let next = self.text[at + word.len()..].trim_start();
                if next.starts_with(['[', '*']) {
                    // Else it would go on with the member before.
                    self.bytes[at] = b';';
                }
            } else if !OTHER_MODIFIERS.contains(&word) {
                return;
            }
            at += word.len();
            at += self.text[at..].len() - self.text[at..].trim_start().len();
        }
    }

    fn refuse(&mut self, at: u32, what: &'static str) {
        self.refused.get_or_insert((at, what));
    }

    /// After the decorators of a member.
    fn start(span: Span, decorators: &[Decorator<'_>], text: &str) -> u32 {
        let after = decorators.last().map_or(span.start, |last| last.span.end);
        let rest = &text[after as usize..];
        after + u32::try_from(rest.len() - rest.trim_start().len()).unwrap_or(0)
    }
}

fn word(text: &str) -> Option<&str> {
    let end = text.find(|character: char| !character.is_ascii_alphabetic());
    let word = &text[..end.unwrap_or(text.len())];
    (!word.is_empty()).then_some(word)
}

impl<'a> Visit<'a> for Eraser<'_> {
    fn visit_ts_type_annotation(&mut self, it: &TSTypeAnnotation<'a>) {
        self.erase(it.span.start, it.span.end);
    }

    fn visit_ts_type_parameter_declaration(&mut self, it: &TSTypeParameterDeclaration<'a>) {
        self.erase(it.span.start, it.span.end);
    }

    fn visit_ts_type_parameter_instantiation(&mut self, it: &TSTypeParameterInstantiation<'a>) {
        self.erase(it.span.start, it.span.end);
    }

    fn visit_ts_as_expression(&mut self, it: &TSAsExpression<'a>) {
        self.visit_expression(&it.expression);
        self.erase_after(it.expression.span(), it.span);
    }

    fn visit_ts_satisfies_expression(&mut self, it: &TSSatisfiesExpression<'a>) {
        self.visit_expression(&it.expression);
        self.erase_after(it.expression.span(), it.span);
    }

    fn visit_ts_non_null_expression(&mut self, it: &TSNonNullExpression<'a>) {
        self.visit_expression(&it.expression);
        self.erase_after(it.expression.span(), it.span);
    }

    fn visit_ts_type_assertion(&mut self, it: &TSTypeAssertion<'a>) {
        self.erase(it.span.start, it.expression.span().start);
        self.visit_expression(&it.expression);
    }

    fn visit_ts_this_parameter(&mut self, it: &TSThisParameter<'a>) {
        self.erase_with_comma(it.span);
    }

    fn visit_ts_interface_declaration(&mut self, it: &TSInterfaceDeclaration<'a>) {
        self.erase_statement(it.span);
    }

    fn visit_ts_type_alias_declaration(&mut self, it: &TSTypeAliasDeclaration<'a>) {
        self.erase_statement(it.span);
    }

    fn visit_ts_global_declaration(&mut self, it: &TSGlobalDeclaration<'a>) {
        self.erase_statement(it.span);
    }

    fn visit_ts_external_module_declaration(&mut self, it: &TSExternalModuleDeclaration<'a>) {
        self.erase_statement(it.span);
    }

    fn visit_ts_namespace_declaration(&mut self, it: &TSNamespaceDeclaration<'a>) {
        match it.declare {
            true => self.erase_statement(it.span),
            false => self.refuse(it.span.start, "a namespace"),
        }
    }

    fn visit_ts_namespace_export_declaration(&mut self, it: &TSNamespaceExportDeclaration<'a>) {
        self.erase_statement(it.span);
    }

    fn visit_ts_enum_declaration(&mut self, it: &TSEnumDeclaration<'a>) {
        match it.declare {
            true => self.erase_statement(it.span),
            false => self.refuse(it.span.start, "an enum"),
        }
    }

    fn visit_ts_import_equals_declaration(&mut self, it: &TSImportEqualsDeclaration<'a>) {
        match it.import_kind {
            ImportOrExportKind::Type => self.erase_statement(it.span),
            ImportOrExportKind::Value => self.refuse(it.span.start, "import … ="),
        }
    }

    fn visit_ts_export_assignment(&mut self, it: &TSExportAssignment<'a>) {
        self.refuse(it.span.start, "export =");
    }

    fn visit_import_declaration(&mut self, it: &ImportDeclaration<'a>) {
        if it.import_kind == ImportOrExportKind::Type {
            return self.erase_statement(it.span);
        }
        for specifier in it.specifiers.iter().flatten() {
            if let ImportDeclarationSpecifier::ImportSpecifier(specifier) = specifier
                && specifier.import_kind == ImportOrExportKind::Type
            {
                self.erase_with_comma(specifier.span);
            }
        }
    }

    fn visit_export_specifier(&mut self, it: &ExportSpecifier<'a>) {
        if it.export_kind == ImportOrExportKind::Type {
            self.erase_with_comma(it.span);
        }
    }

    fn visit_export_all_declaration(&mut self, it: &ExportAllDeclaration<'a>) {
        if it.export_kind == ImportOrExportKind::Type {
            self.erase_statement(it.span);
        }
    }

    fn visit_export_default_declaration(&mut self, it: &ExportDefaultDeclaration<'a>) {
        match &it.declaration {
            ExportDefaultDeclarationKind::TSInterfaceDeclaration(_) => self.erase_statement(it.span),
            ExportDefaultDeclarationKind::FunctionDeclaration(function) if function.body.is_none() => {
                self.erase_statement(it.span);
            }
            _ => walk::walk_export_default_declaration(self, it),
        }
    }

    fn visit_variable_declaration(&mut self, it: &VariableDeclaration<'a>) {
        match it.declare {
            true => self.erase_statement(it.span),
            false => walk::walk_variable_declaration(self, it),
        }
    }

    fn visit_variable_declarator(&mut self, it: &VariableDeclarator<'a>) {
        if it.definite
            && let Some(annotation) = &it.type_annotation
        {
            self.erase_mark(it.id.span().end, annotation.span.start, '!');
        }
        walk::walk_variable_declarator(self, it);
    }

    fn visit_formal_parameter(&mut self, it: &FormalParameter<'a>) {
        if it.accessibility.is_some() || it.readonly || it.r#override {
            self.refuse(it.span.start, "a parameter that is a property, too,");
        }
        if it.optional {
            let end = it
                .type_annotation
                .as_ref()
                .map_or(it.span.end, |it| it.span.start);
            self.erase_mark(it.pattern.span().end, end, '?');
        }
        walk::walk_formal_parameter(self, it);
    }

    fn visit_function(&mut self, it: &Function<'a>, flags: ScopeFlags) {
        match it.declare || it.body.is_none() {
            true => self.erase_statement(it.span),
            false => walk::walk_function(self, it, flags),
        }
    }

    fn visit_arrow_function_expression(&mut self, it: &ArrowFunctionExpression<'a>) {
        walk::walk_arrow_function_expression(self, it);
        let Some(returned) = &it.return_type else { return };
        let (start, end) = (it.params.span.end as usize, returned.span.end as usize);
        if self.text[start..end].contains('\n') {
            // `=>` has to be on the line of the parenthesis.
            self.bytes[start - 1] = b' ';
            self.bytes[end - 1] = b')';
        }
    }

    fn visit_class(&mut self, it: &Class<'a>) {
        if it.declare {
            return self.erase_statement(it.span);
        }
        if it.r#abstract {
            let start = Self::start(it.span, &it.decorators, self.text);
            self.erase_modifiers(start, it.body.span.start);
        }
        if let (Some(first), Some(last)) = (it.implements.first(), it.implements.last()) {
            let before = &self.text[..first.span.start as usize];
            if let Some(keyword) = before.rfind("implements") {
                self.erase(u32::try_from(keyword).unwrap_or(0), last.span.end);
            }
        }
        walk::walk_class(self, it);
    }

    fn visit_ts_class_implements(&mut self, _: &TSClassImplements<'a>) {}

    fn visit_ts_index_signature(&mut self, it: &TSIndexSignature<'a>) {
        self.erase(it.span.start, it.span.end);
    }

    fn visit_method_definition(&mut self, it: &MethodDefinition<'a>) {
        if it.r#type == MethodDefinitionType::TSAbstractMethodDefinition || it.value.body.is_none() {
            return self.erase(it.span.start, it.span.end);
        }
        let key = it.key.span();
        let start = Self::start(it.span, &it.decorators, self.text);
        self.erase_modifiers(start, key.start);
        if it.optional {
            self.erase_mark(key.end, it.value.params.span.start, '?');
        }
        walk::walk_method_definition(self, it);
    }

    fn visit_property_definition(&mut self, it: &PropertyDefinition<'a>) {
        if it.declare || it.r#type == PropertyDefinitionType::TSAbstractPropertyDefinition {
            return self.erase(it.span.start, it.span.end);
        }
        let key = it.key.span();
        let start = Self::start(it.span, &it.decorators, self.text);
        self.erase_modifiers(start, key.start);
        let end = it
            .type_annotation
            .as_ref()
            .map(|annotation| annotation.span.start);
        let end = end.or_else(|| it.value.as_ref().map(|value| value.span().start));
        let end = end.unwrap_or(it.span.end);
        if it.optional {
            self.erase_mark(key.end, end, '?');
        }
        if it.definite {
            self.erase_mark(key.end, end, '!');
        }
        walk::walk_property_definition(self, it);
    }

    fn visit_accessor_property(&mut self, it: &AccessorProperty<'a>) {
        let start = Self::start(it.span, &it.decorators, self.text);
        self.erase_modifiers(start, it.key.span().start);
        walk::walk_accessor_property(self, it);
    }

    // With the `export` before it.
    fn visit_statement(&mut self, it: &Statement<'a>) {
        match whole_export_of_types(it) {
            Some(span) => self.erase_statement(span),
            None => walk::walk_statement(self, it),
        }
    }
}

/// What is exported and is a type as a whole.
fn whole_export_of_types(statement: &Statement<'_>) -> Option<Span> {
    let is_type = |kind: ImportOrExportKind| kind == ImportOrExportKind::Type;
    let (is_erased, span) = match statement {
        Statement::ExportDeclaration(export) => (is_erased(&export.declaration), export.span),
        Statement::ExportNamedDeclaration(export) => (is_type(export.export_kind), export.span),
        Statement::ExportFromDeclaration(export) => (is_type(export.export_kind), export.span),
        _ => return None,
    };
    is_erased.then_some(span)
}

fn is_erased(declaration: &Declaration<'_>) -> bool {
    match declaration {
        Declaration::TSTypeAliasDeclaration(_)
        | Declaration::TSInterfaceDeclaration(_)
        | Declaration::TSExternalModuleDeclaration(_)
        | Declaration::TSGlobalDeclaration(_) => true,
        Declaration::VariableDeclaration(it) => it.declare,
        Declaration::FunctionDeclaration(it) => it.declare || it.body.is_none(),
        Declaration::ClassDeclaration(it) => it.declare,
        Declaration::TSEnumDeclaration(it) => it.declare,
        Declaration::TSNamespaceDeclaration(it) => it.declare,
        Declaration::TSImportEqualsDeclaration(it) => it.import_kind == ImportOrExportKind::Type,
    }
}

#[cfg(test)]
mod tests {
    use crate::source::Source;

    /// The source as JavaScript, without space where there was a type.
    fn stripped(text: &str) -> String {
        match Source::read("src/a.ts", text) {
            Ok(source) => {
                let lines = |text: &str| text.matches('\n').count();
                assert_eq!(lines(&source.text), lines(text), "{text}");
                // What is left has to be JavaScript.
                if let Err(error) = Source::read("src/a.js", &source.text) {
                    panic!("{text}\nbecame\n{}\n{error}", source.text);
                }
                source.text.split_whitespace().collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn types_are_taken_out() {
        for (typescript, javascript) in [
            ("const a: number = 1;", "const a = 1;"),
            ("let b!: string;", "let b ;"),
            (
                "function f<T extends object>(a: T, b?: number, ...c: string[]): a is T { return true }",
                "function f (a , b , ...c ) { return true }",
            ),
            ("function f(this: Window, a) {}", "function f( a) {}"),
            ("function f(): void; function f() {}", "; function f() {}"),
            (
                "const f = async <T,>(a: T): Promise<T> => a;",
                "const f = async (a ) => a;",
            ),
            ("const f = (a): {\n b: number\n} => a;", "const f = (a ) => a;"),
            ("x = y as unknown as string;", "x = y ;"),
            ("x = <any>y;", "x = y;"),
            ("x = y!.z!;", "x = y .z ;"),
            ("x = y satisfies Z;", "x = y ;"),
            ("x = f<string>(1);", "x = f (1);"),
            ("x = y as any\n(z)", "x = y; (z)"),
            ("x = y as any\n+ z", "x = y + z"),
            ("f()\ninterface A {}\n(z)", "f() ; (z)"),
            ("type A = { b: 'é' }; export type { A };", "; ;"),
            ("export interface A { b: string }", ";"),
            ("import type { A } from './a.js';", ";"),
            (
                "import { type A, b } from './a.js';",
                "import { b } from './a.js';",
            ),
            (
                "export { type A, b } from './a.js';",
                "export { b } from './a.js';",
            ),
            ("export default interface A {}", ";"),
            ("declare const a: number; declare function g(): void;", "; ;"),
            ("declare global { var x: number }", ";"),
            (
                "export abstract class A<T> extends B<T> implements C, D<T> {}",
                "export class A extends B {}",
            ),
            (
                "class A { private readonly a?: number = 1; public b!: string; static c?: string; declare d: number; [k: string]: any }",
                "class A { a = 1; b ; static c ; }",
            ),
            (
                "class A { constructor(a: B) {} private async d?(): Promise<void> {} abstract e(): void; f(): void; }",
                "class A { constructor(a ) {} async d () {} }",
            ),
            (
                "class A { readonly = 1; get(): number { return 1 } }",
                "class A { readonly = 1; get() { return 1 } }",
            ),
            ("try {} catch (e: unknown) {}", "try {} catch (e ) {}"),
            ("for (const a of b as string[]) {}", "for (const a of b ) {}"),
        ] {
            assert_eq!(stripped(typescript), javascript, "{typescript}");
        }
    }

    #[test]
    fn what_would_have_to_be_compiled_is_refused_where_it_is() {
        for (typescript, what) in [
            ("\n enum A { B }", "src/a.ts:2:2: an enum"),
            ("namespace A { export const b = 1 }", "src/a.ts:1:1: a namespace"),
            (
                "class A { constructor(private b: string) {} }",
                "src/a.ts:1:23: a parameter",
            ),
            ("export = 1;", "src/a.ts:1:1: export ="),
            ("const a: = 1", "src/a.ts:1:10"),
        ] {
            let said = stripped(typescript);
            assert!(said.starts_with(what), "{typescript}: {said}");
        }
    }
}
