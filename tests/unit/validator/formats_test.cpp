// Formats where their RFCs are easily read otherwise: what the official suite asks of them since 2025 and its copy in the tests does not
// have yet, and the edges next to it.
#include <setget/json_schema.hpp>

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace {

using namespace setget::json_schema;

// `json`: a string as JSON text.
testing::AssertionResult holds(std::string_view format, std::string_view json, Draft draft = Draft::kDraft202012) {
  const auto validator =
      Validator::compile(R"({"format": ")" + std::string(format) + "\"}", {.default_draft = draft, .assert_formats = true});
  if (!validator) return testing::AssertionFailure() << validator.error().describe();
  const auto verdict = validator->is_valid(json);
  if (!verdict) return testing::AssertionFailure() << verdict.error().describe();
  return *verdict ? testing::AssertionSuccess() << format << " holds of " << json
                  : testing::AssertionFailure() << format << " does not hold of " << json;
}

TEST(JsonSchemaFormats, take_addresses_of_mail_as_rfc_5321_and_6531_do) {
  EXPECT_TRUE(holds("email", R"j("a@[ipv6:::1]")j"));
  EXPECT_TRUE(holds("email", R"j("test@[IPv6:1111:2222:3333:4444::255.255.255.255]")j"));
  EXPECT_TRUE(holds("email", R"j("test@[IPv6:::]")j"));
  EXPECT_FALSE(holds("email", R"j("a@[1111:2222:3333:4444:5555:6666:7777:8888]")j"));
  EXPECT_FALSE(holds("email", R"j("a@[extn:test]")j"));
  EXPECT_FALSE(holds("email", R"j("a@[]")j"));
  EXPECT_FALSE(holds("email", R"j("a@[ 1.2.3.4]")j"));
  EXPECT_FALSE(holds("email", R"j("test@a[255.255.255.255]")j"));
  EXPECT_FALSE(holds("email", R"j("test@[RFC-5322-[domain-literal]")j"));
  EXPECT_TRUE(holds("email", R"j("test@c--n.com")j"));
  EXPECT_TRUE(holds("email", R"j("test@255.255.255.255")j"));
  EXPECT_TRUE(holds("email", R"j("\"\"@iana.org")j"));
  EXPECT_TRUE(holds("email", R"j("\"\\\\\"@iana.org")j"));
  EXPECT_FALSE(holds("email", R"j("\"\\\"@iana.org")j"));
  EXPECT_FALSE(holds("email", R"j("\"\"\"@iana.org")j"));
  EXPECT_FALSE(holds("email", R"j("\"test\"\"test\"@iana.org")j"));
  EXPECT_FALSE(holds("email", R"j("\"test\\\u00a9\"@iana.org")j"));
  EXPECT_FALSE(holds("email", R"j("\"test\u0000\"@iana.org")j"));
  EXPECT_FALSE(holds("email", R"j("a\uff20iana.org")j"));
  EXPECT_FALSE(holds("email", R"j("a@b@c.org")j"));
  EXPECT_FALSE(holds("email", R"j("\"a\".b@iana.org")j"));
  EXPECT_FALSE(holds("email", R"j("a.\"b\"@iana.org")j"));
  EXPECT_FALSE(holds("email", R"j("test@iana.org.")j"));
  EXPECT_FALSE(holds("email", R"j("test@iana.org\n")j"));
  EXPECT_TRUE(holds("email", R"j("test@iana.co-uk")j"));
  EXPECT_TRUE(holds("email", R"j("test@xn--hxajbheg2az3al.xn--jxalpdlp")j"));
  EXPECT_TRUE(holds("email", R"j("a@b")j"));
  EXPECT_TRUE(holds("email", R"j("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@iana.org")j"));
  EXPECT_TRUE(holds("idn-email", R"j("user@cafe\u0301.com")j"));
  EXPECT_TRUE(holds("idn-email", R"j("cafe\u0301@example.com")j"));
  EXPECT_TRUE(holds("idn-email", R"j("\u0085@example.com")j"));
  EXPECT_TRUE(holds("idn-email", R"j("\uffff@example.com")j"));
  EXPECT_FALSE(holds("idn-email", R"j("user\uff20example.com")j"));
  EXPECT_TRUE(holds("idn-email", R"j("\ud835\udd4f@example.com")j"));
  EXPECT_TRUE(holds("idn-email", R"j("\u03b4\u03bf@example.com")j"));
  EXPECT_TRUE(holds("idn-email", R"j("\"\u03b4\u03bf\"@example.com")j"));
  // Whether a domain can be looked up is none of the grammar's business.
  EXPECT_TRUE(holds("email", R"j("a@ab--cd.example")j"));
  EXPECT_TRUE(holds("email", R"j("a@xn--X.example")j"));
  EXPECT_FALSE(holds("email", R"j("a@-b.example")j"));
  EXPECT_FALSE(holds("email", R"j("a@b_c.example")j"));
  EXPECT_FALSE(holds("email", R"j("a@")j"));
  // 64 octets must be taken; more may be, and are: section 4.5.3.1 is about transport, the format is the grammar of section 4.1.2.
  EXPECT_TRUE(holds("email", '"' + std::string(64, 'a') + R"(@iana.org")"));
  EXPECT_TRUE(holds("email", '"' + std::string(65, 'a') + R"(@iana.org")"));
  EXPECT_TRUE(holds("idn-email", '"' + std::string(64, 'a') + R"(@iana.org")"));
}

TEST(JsonSchemaFormats, ask_of_every_label_what_idna_2008_asks) {
  EXPECT_FALSE(holds("idn-hostname", R"j("\u0915\u094d\u200c\u0937x\u200cy")j"));
  EXPECT_FALSE(holds("idn-hostname", R"j("0a.\u05d0")j"));
  EXPECT_FALSE(holds("idn-hostname", R"j("0\u0627")j"));
  EXPECT_FALSE(holds("idn-hostname", R"j("a\u05d0")j"));
  EXPECT_FALSE(holds("idn-hostname", R"j("\u05d00\u0660")j"));
  EXPECT_FALSE(holds("idn-hostname", R"j("xn--7a")j"));
  EXPECT_FALSE(holds("idn-hostname", R"j("xn--0ca24w")j"));
  EXPECT_FALSE(holds("idn-hostname", R"j("a..b")j"));
  EXPECT_FALSE(holds("idn-hostname", R"j("xn--example-")j"));
  EXPECT_FALSE(holds("idn-hostname", R"j("xn---9uc")j"));
  EXPECT_FALSE(holds("hostname", R"j("xn--7a")j"));
  EXPECT_FALSE(holds("hostname", R"j("xn--0ca24w")j"));
  EXPECT_FALSE(holds("hostname", R"j("xn--example-")j"));
  EXPECT_FALSE(holds("hostname", R"j("xn---9uc")j"));
  EXPECT_TRUE(holds("hostname", R"j("a--b.com")j"));
  EXPECT_FALSE(holds("hostname", R"j("\u212aelvin.example.com")j"));
  EXPECT_FALSE(holds("hostname", R"j("example.com\n")j"));
  EXPECT_TRUE(holds("hostname", R"j("xn--4gbwdl.xn--wgbh1c")j"));
  EXPECT_FALSE(holds("hostname", R"j("xn--hello-txk")j"));
  // 63 octets to a label, in its encoded form, and 253 to a name.
  std::string umlauts;
  for (int i = 0; i < 60; ++i) umlauts += "\\u00fc";
  EXPECT_FALSE(holds("idn-hostname", '"' + umlauts + '"'));
  EXPECT_TRUE(holds("idn-hostname", '"' + std::string(63, 'a') + '"'));
  EXPECT_FALSE(holds("idn-hostname", '"' + std::string(64, 'a') + '"'));
  const auto three = std::string(63, 'a') + '.' + std::string(63, 'a') + '.' + std::string(63, 'a') + '.';
  EXPECT_TRUE(holds("idn-hostname", '"' + three + std::string(61, 'a') + '"'));
  EXPECT_FALSE(holds("idn-hostname", '"' + three + std::string(62, 'a') + '"'));
  // Letters from right to left bind all labels of a name, encoded ones too.
  EXPECT_FALSE(holds("hostname", R"("0a.xn--4db")"));
  EXPECT_TRUE(holds("hostname", R"("a0.xn--4db")"));
  EXPECT_TRUE(holds("idn-hostname", R"("\u05d00.a")"));
  EXPECT_TRUE(holds("idn-hostname", R"("\u05d0\u0660")"));
  EXPECT_FALSE(holds("idn-hostname", R"("cafe\u0301")"));
}

TEST(JsonSchemaFormats, ask_of_host_names_what_each_draft_names) {
  for (const auto draft : {Draft::kDraft4, Draft::kDraft6}) {
    EXPECT_TRUE(holds("hostname", R"("ab--cd.example")", draft));
    EXPECT_TRUE(holds("hostname", R"("xn--X.example")", draft));
    EXPECT_FALSE(holds("hostname", R"("-ab.example")", draft));
    EXPECT_FALSE(holds("hostname", R"("ab-.example")", draft));
    EXPECT_FALSE(holds("hostname", R"("a_b.example")", draft));
    EXPECT_FALSE(holds("hostname", R"("")", draft));
    EXPECT_FALSE(holds("hostname", '"' + std::string(64, 'a') + '"', draft));
  }
  EXPECT_FALSE(holds("hostname", R"("xn--X.example")", Draft::kDraft7));
}

TEST(JsonSchemaFormats, take_any_registered_name_for_a_host_but_only_addresses_in_brackets) {
  EXPECT_FALSE(holds("uri", R"j("http://[::ffff:01.2.3.4]")j"));
  EXPECT_TRUE(holds("uri", R"j("http://087.10.0.1/")j"));
  EXPECT_TRUE(holds("uri", R"j("http://999.999.999.999/")j"));
  EXPECT_FALSE(holds("uri", R"j("http://example.com/%6G")j"));
  EXPECT_FALSE(holds("uri", R"j("http://example.com/%A")j"));
  EXPECT_FALSE(holds("uri", R"j("1http://example.com")j"));
  EXPECT_FALSE(holds("uri", R"j("ht_tp://example.com")j"));
  EXPECT_FALSE(holds("uri", R"j("http://a.com::")j"));
  EXPECT_FALSE(holds("uri", R"j("http://a.com:8:0")j"));
  EXPECT_TRUE(holds("uri", R"j("http://a.com:")j"));
  EXPECT_TRUE(holds("uri", R"j("http://a.com:999999999")j"));
  EXPECT_TRUE(holds("uri", R"j("http://:80")j"));
  EXPECT_TRUE(holds("uri", R"j("http://@a.com")j"));
  EXPECT_TRUE(holds("uri", R"j("http://user@")j"));
  EXPECT_TRUE(holds("uri", R"j("http://!$&'()*+,;=.com")j"));
  EXPECT_TRUE(holds("uri", R"j("http://exa~mple.com/")j"));
  EXPECT_TRUE(holds("uri-reference", R"j("")j"));
  EXPECT_TRUE(holds("uri-reference", R"j("//")j"));
  EXPECT_TRUE(holds("uri-reference", R"j("?query=1")j"));
  EXPECT_FALSE(holds("uri-reference", R"j("/[::1]")j"));
  EXPECT_FALSE(holds("uri-reference", R"j("//a@b@example.com/")j"));
  EXPECT_FALSE(holds("uri-reference", R"j("1:b")j"));
  EXPECT_TRUE(holds("uri-reference", R"j("./this:that")j"));
  EXPECT_TRUE(holds("uri-reference", R"j("//[V1.fe]/p")j"));
  EXPECT_FALSE(holds("uri-reference", R"j("/p\n")j"));
  EXPECT_TRUE(holds("iri", R"j("http://[V1.fe]")j"));
  EXPECT_TRUE(holds("iri", R"j("http://\u0192\u00f8\u00f8.\u00df\u00e5r/?q=\udb80\udc00")j"));
  EXPECT_TRUE(holds("iri", R"j("http://\u0192\u00f8\u00f8.\u00df\u00e5r/\ud800\udf00")j"));
  EXPECT_FALSE(holds("iri", R"j("http://\u0192\u00f8\u00f8.\u00df\u00e5r/\n")j"));
  EXPECT_FALSE(holds("iri", R"j("http://2001:0db8:85a3:0000:0000:8a2e:0370:7334")j"));
  EXPECT_TRUE(holds("uri-template", R"j("a'b")j"));
  EXPECT_FALSE(holds("uri-template", R"j("{}")j"));
  EXPECT_FALSE(holds("uri-template", R"j("{a,,b}")j"));
  EXPECT_FALSE(holds("uri-template", R"j("{v:0}")j"));
  EXPECT_FALSE(holds("uri-template", R"j("{v:10000}")j"));
  EXPECT_TRUE(holds("uri-template", R"j("{v:1000}")j"));
  EXPECT_FALSE(holds("uri-template", R"j("{v:01}")j"));
  EXPECT_TRUE(holds("uri-template", R"j("")j"));
  EXPECT_FALSE(holds("uri-template", R"j("foo}bar")j"));
  EXPECT_TRUE(holds("uri-template", R"j("a\ud83d\ude00b")j"));
  EXPECT_TRUE(holds("uri-template", R"j("{%41}")j"));
  EXPECT_FALSE(holds("uri-template", R"j("{a..b}")j"));
  EXPECT_FALSE(holds("uri-template", R"j("{,+var}")j"));
  EXPECT_FALSE(holds("uri-template", R"j("{var=def}")j"));
  EXPECT_FALSE(holds("uri-template", R"j("a b")j"));
  EXPECT_FALSE(holds("uri-template", R"j("a\u007fb")j"));
  EXPECT_TRUE(holds("uri-template", R"j("{?x,y*,z:3}")j"));
}

TEST(JsonSchemaFormats, take_times_and_durations_by_the_grammar_of_rfc_3339) {
  EXPECT_TRUE(holds("time", R"j("12:34:56-00:00")j"));
  EXPECT_FALSE(holds("time", R"j("23:60:00+00:01")j"));
  EXPECT_TRUE(holds("time", R"j("00:59:59.999999999999999Z")j"));
  EXPECT_FALSE(holds("time", R"j("08:30:06.Z")j"));
  EXPECT_FALSE(holds("time", R"j("12:00Z")j"));
  EXPECT_FALSE(holds("time", R"j("08:30:06+0130")j"));
  EXPECT_FALSE(holds("time", R"j("08:30:06+01")j"));
  EXPECT_FALSE(holds("time", R"j("24:59:00+01:00")j"));
  EXPECT_FALSE(holds("time", R"j(" 08:30:06Z")j"));
  EXPECT_FALSE(holds("date-time", R"j("1985-04-12T23:20:50+01")j"));
  EXPECT_FALSE(holds("date-time", R"j("2016-12-31T24:59:60+01:00")j"));
  EXPECT_FALSE(holds("date-time", R"j("1985-04-12T23:20:50Z\n")j"));
  EXPECT_FALSE(holds("date-time", R"j("1985-04-12T23:20Z")j"));
  EXPECT_FALSE(holds("date-time", R"j("0100-02-29T00:00:00Z")j"));
  EXPECT_TRUE(holds("date-time", R"j("0400-02-29T00:00:00Z")j"));
  EXPECT_FALSE(holds("date", R"j("2024-00-15")j"));
  EXPECT_FALSE(holds("date", R"j("+2020-01-01")j"));
  EXPECT_FALSE(holds("date", R"j("2020-01-01Z")j"));
  EXPECT_FALSE(holds("duration", R"j("PT0.5S")j"));
  EXPECT_FALSE(holds("duration", R"j("P1Y2D")j"));
  EXPECT_FALSE(holds("duration", R"j("PT1H2S")j"));
  EXPECT_FALSE(holds("duration", R"j("P1WT1H")j"));
  EXPECT_FALSE(holds("duration", R"j("P0Y1W")j"));
  EXPECT_TRUE(holds("duration", R"j("P01D")j"));
  EXPECT_TRUE(holds("duration", R"j("P999999999999999999999999999999999999D")j"));
  EXPECT_FALSE(holds("duration", R"j("P1D\n")j"));
  EXPECT_FALSE(holds("duration", R"j("P1e2D")j"));
  EXPECT_FALSE(holds("duration", R"j("P1D2T3H")j"));
}

TEST(JsonSchemaFormats, end_where_their_text_ends) {
  EXPECT_TRUE(holds("relative-json-pointer", R"j("0-0")j"));
  EXPECT_TRUE(holds("relative-json-pointer", R"j("0+0/a")j"));
  EXPECT_TRUE(holds("relative-json-pointer", R"j("0+1")j"));
  EXPECT_TRUE(holds("relative-json-pointer", R"j("1-2/bar")j"));
  EXPECT_TRUE(holds("relative-json-pointer", R"j("0-1#")j"));
  EXPECT_FALSE(holds("relative-json-pointer", R"j("0-01")j"));
  EXPECT_FALSE(holds("relative-json-pointer", R"j("0++1")j"));
  EXPECT_FALSE(holds("relative-json-pointer", R"j("0+")j"));
  EXPECT_FALSE(holds("relative-json-pointer", R"j("0+1not-a-pointer")j"));
  EXPECT_FALSE(holds("relative-json-pointer", R"j("\u0661/foo")j"));
  EXPECT_FALSE(holds("relative-json-pointer", R"j("1foo")j"));
  EXPECT_FALSE(holds("relative-json-pointer", R"j("1#/foo/bar")j"));
  EXPECT_TRUE(holds("relative-json-pointer", R"j("0//")j"));
  EXPECT_FALSE(holds("relative-json-pointer", R"j("1\n")j"));
  EXPECT_FALSE(holds("relative-json-pointer", R"j("0/~2")j"));
  EXPECT_FALSE(holds("ipv4", R"j("192.168.0.1\u0000.evil.com")j"));
  EXPECT_FALSE(holds("ipv4", R"j("127.1")j"));
  EXPECT_FALSE(holds("ipv6", R"j("::ffff:256.1.1.1")j"));
  EXPECT_FALSE(holds("ipv6", R"j("1:2::192.16\u09ea.0.1")j"));
  EXPECT_TRUE(holds("json-pointer", R"j("/\uff5e")j"));
  EXPECT_FALSE(holds("json-pointer", R"j("/~\uff10")j"));
  EXPECT_FALSE(holds("json-pointer", R"j("/foo\u0000~")j"));
  EXPECT_TRUE(holds("json-pointer", R"j("/foo\u0000bar\n\tbaz")j"));
  EXPECT_TRUE(holds("json-pointer", R"j("/\u007f")j"));
  EXPECT_TRUE(holds("uuid", R"j("99c17cbb-656f-f64a-940f-1a4568f03487")j"));
  EXPECT_FALSE(holds("uuid", R"j("urn:uuid:2eb8aa08-aa98-11ea-b4aa-73b441d16380")j"));
}

TEST(JsonSchemaFormats, know_patterns_of_ecma_262_from_those_of_others) {
  EXPECT_FALSE(holds("regex", R"j("(?P<name>x)")j"));
  EXPECT_FALSE(holds("regex", R"j("(?#comment)a")j"));
  EXPECT_FALSE(holds("regex", R"j("(?i)abc")j"));
  EXPECT_FALSE(holds("regex", R"j("(?ims)abc")j"));
  EXPECT_TRUE(holds("regex", R"j("(?<n>a)\\k<n>")j"));
  EXPECT_TRUE(holds("regex", R"j("(?<=a+)b")j"));
  EXPECT_TRUE(holds("regex", R"j("[]")j"));
  EXPECT_TRUE(holds("regex", R"j("[^]")j"));
  EXPECT_TRUE(holds("regex", R"j("\\cA")j"));
  EXPECT_FALSE(holds("regex", R"j("[z-a]")j"));
  EXPECT_FALSE(holds("regex", R"j("\\")j"));
  EXPECT_FALSE(holds("regex", R"j("*a")j"));
  EXPECT_FALSE(holds("regex", R"j("a)")j"));
  EXPECT_FALSE(holds("regex", R"j("[abc")j"));
  EXPECT_TRUE(holds("regex", R"j("")j"));
  EXPECT_TRUE(holds("regex", R"j("a+?")j"));
  EXPECT_TRUE(holds("regex", R"j("(?<y>\\d{4})-\\d\\d|\\d\\d-(?<y>\\d{4})")j"));
  EXPECT_FALSE(holds("regex", R"j("(?<y>a)(?<y>b)")j"));
  EXPECT_FALSE(holds("regex", R"j("(?<y>a(?<y>b))")j"));
  EXPECT_FALSE(holds("regex", R"j("(?:(?<y>a)|b)(?<y>c)")j"));
  EXPECT_TRUE(holds("regex", R"j("(?:(?<y>a)|(?<y>b))\\k<y>")j"));
}

// Steps aside came with draft-bhutton-relative-json-pointer-00, to which only 2020-12 refers.
TEST(JsonSchemaFormats, take_steps_aside_in_relative_pointers_from_2020_on) {
  for (const auto* aside : {R"j("0+1")j", R"j("0-1#")j", R"j("2+10/a/b")j", R"j("1-0")j"}) {
    EXPECT_TRUE(holds("relative-json-pointer", aside)) << aside;
    EXPECT_FALSE(holds("relative-json-pointer", aside, Draft::kDraft201909)) << aside;
    EXPECT_FALSE(holds("relative-json-pointer", aside, Draft::kDraft7)) << aside;
  }
  for (const auto draft : {Draft::kDraft7, Draft::kDraft201909, Draft::kDraft202012}) {
    for (const auto* good : {R"j("0")j", R"j("0#")j", R"j("12/a~1")j", R"j("1/")j"})
      EXPECT_TRUE(holds("relative-json-pointer", good, draft)) << good;
    for (const auto* bad :
         {R"j("")j", R"j("/a")j", R"j("01")j", R"j("+1")j", R"j("-1/a")j", R"j("0##")j", R"j("0+")j", R"j("0+01")j", R"j("0a")j"})
      EXPECT_FALSE(holds("relative-json-pointer", bad, draft)) << bad;
  }
}

// As V8 has it.
TEST(JsonSchemaFormats, know_properties_of_unicode_by_the_names_that_ecma_262_has) {
  for (const auto* property :
       {"L", "Letter", "gc=Lu", "General_Category=Decimal_Number", "Alphabetic", "Alpha", "space", "EPres", "XIDS", "Any", "ASCII",
        "Assigned", "Script=Greek", "sc=Grek", "Script_Extensions=Qaac", "scx=Zinh", "Script=Garay"}) {
    EXPECT_TRUE(holds("regex", R"j("\\p{)j" + std::string(property) + "}\"")) << property;
    EXPECT_TRUE(holds("regex", R"j("[^\\P{)j" + std::string(property) + "}]\"")) << property;
  }
  for (const auto* property :
       {"Foo", "letter", "Greek", "IsGreek", "alphabetic", "gc=Foo", "Script=Foo", "Script=greek", "sc=", "scx=Foo", "=L", "=Any",
        "=Assigned", "=Alphabetic", "=", "Block=Greek", "Alphabetic=Yes", "L&", "Katakana_Or_Hiragana"}) {
    EXPECT_FALSE(holds("regex", R"j("\\p{)j" + std::string(property) + "}\"")) << property;
    EXPECT_FALSE(Validator::compile(R"j({"pattern": "\\p{)j" + std::string(property) + "}\"}")) << property;
  }
  for (const auto* name : {"Script=Greek", "sc=Grek", "scx=Greek"}) {
    const auto greek = Validator::compile(R"j({"pattern": "^\\p{)j" + std::string(name) + "}+$\"}");
    ASSERT_TRUE(greek) << greek.error().describe();
    EXPECT_TRUE(*greek->is_valid("\"\u03b1\u03c9\"")) << name;
    EXPECT_FALSE(*greek->is_valid("\"a\"")) << name;
  }
}

TEST(JsonSchemaFormats, let_groups_share_a_name_where_only_one_of_them_can_match) {
  const auto validator = Validator::compile(R"({"pattern": "^(?:(?<q>')|(?<q>\"))[a-z]*\\k<q>$"})");
  ASSERT_TRUE(validator) << validator.error().describe();
  EXPECT_TRUE(*validator->is_valid(R"("'a'")"));
  EXPECT_TRUE(*validator->is_valid(R"("\"a\"")"));
  EXPECT_FALSE(*validator->is_valid(R"("'a\"")"));
  EXPECT_FALSE(*validator->is_valid(R"("\"a")"));
  const auto date = Validator::compile(R"({"pattern": "^(?:(?<y>[0-9]{4})-(?<m>[0-9]{2})|(?<m>[0-9]{2})/(?<y>[0-9]{4}))$"})");
  ASSERT_TRUE(date) << date.error().describe();
  EXPECT_TRUE(*date->is_valid(R"("2026-11")"));
  EXPECT_TRUE(*date->is_valid(R"("11/2026")"));
  EXPECT_FALSE(*date->is_valid(R"("11-2026")"));
}

}  // namespace
