// The texts of a report, written when they are read.
#include "validator/schema_message.hpp"

#include <cstring>
#include <vector>

#include "validator/schema_compiler.hpp"
#include "validator/schema_report.hpp"
#include "validator/uri_reference.hpp"

namespace setget::inline v0::detail::schema {

// A small tape of its own: the container begins at its first word, and texts stand in the ledger. What is left out lies beyond the bytes
// that are shown: of four words at least three show a byte each, and texts show all theirs.
KeptValue keep_container(Ledger& ledger, const Tape& tape, std::size_t at) {
  constexpr std::size_t kMostWords = 2 * kMostShown;
  const std::size_t end = static_cast<std::uint32_t>(tape.words[at]);
  const auto words = std::min(end - at, kMostWords);
  const auto place = ledger.take(words + 1);  // one more: a number may begin in the last
  std::size_t shown = 0;
  std::size_t i = 0;
  for (; i < words && shown <= kMostShown; ++i) {
    const auto word = tape.words[at + i];
    const auto tag = static_cast<char>(tag_of(word));
    auto kept = word;
    switch (tag) {
      case 'l':
      case 'u':
      case 'd':
        *ledger.at(place + i) = word;
        kept = tape.words[at + ++i];
        break;
      case '"':
      case 'N': {
        const auto text = text_of(tape, word).substr(0, kMostShown + 4);
        shown += text.size();
        kept = make_word(tag, ledger.put_text(text) * 8);
        break;
      }
      case '[':
      case '{':
        kept = make_word(tag, std::min<std::size_t>(static_cast<std::uint32_t>(word), at + words + 1) - at);
        break;
      default:
        break;
    }
    *ledger.at(place + i) = kept;
  }
  // Nobody reads so far; but if somebody did, there would be a value.
  for (; i <= words; ++i) *ledger.at(place + i) = make_word('n', 0);
  return {{0, place}};
}

void write_part(Text& out, const Ledger&, const KeptText& text) { out += std::string_view(text.text, text.size); }
void write_part(Text& out, const Ledger&, const KeptNumber& number) { append_number(out, number.number); }

void write_part(Text& out, const Ledger&, const KeptTypeName& type) {
  switch (type.type) {
    case kNull:
      out += "null";
      return;
    case kBoolean:
      out += "a boolean";
      return;
    case kInteger:
    case kFraction:
      out += "a number";
      return;
    case kString:
      out += "a string";
      return;
    case kArray:
      out += "an array";
      return;
    default:
      out += "an object";
  }
}

void write_part(Text& out, const Ledger&, const KeptTypes& expected) {
  const auto start = out.size();
  const auto also = [&](std::string_view name) {
    if (out.size() > start) out += " or ";
    out += name;
  };
  if ((expected.types & kNull) != 0) also("null");
  if ((expected.types & kBoolean) != 0) also("boolean");
  if ((expected.types & kNumber) == kNumber) {
    also("number");
  } else if ((expected.types & kInteger) != 0) {
    also("integer");
  }
  if ((expected.types & kString) != 0) also("string");
  if ((expected.types & kArray) != 0) also("array");
  if ((expected.types & kObject) != 0) also("object");
}

void write_part(Text& out, const Ledger&, const KeptSet& kept) {
  const auto& set = *kept.set;
  const auto start = out.size();
  for (const auto one : set.all) {
    if (out.size() - start > 200) {
      out += ", …";
      return;
    }
    if (out.size() > start) out += ", ";
    append_shown(out, set.tape, one, set.is_const ? 100 : 60);
  }
}

namespace {

std::string_view token_of(const Ledger& kept, std::size_t place, const KeptStep& step) {
  if (step.kind == StepKind::kLasting) return {step.lasting, step.number};
  if (step.kind != StepKind::kName) return {};
  return text_of({nullptr, kept.texts()}, (place + Ledger::kWordsOf<KeptStep>)*8);
}

}  // namespace

void write_part(Text& out, const Ledger& kept, const KeptName& name) {
  out += token_of(kept, name.place, kept.read<KeptStep>(name.place)).substr(0, 100);
}

void write_part(Text& out, const Ledger& kept, const KeptValue& value) {
  if (tag_of(value.words[0]) == 0) {
    append_shown(out, {kept.at(value.words[1]), kept.texts()}, 0, kMostShown);
  } else {
    append_shown(out, {value.words, kept.texts()}, 0, kMostShown);
  }
}

namespace {

struct Path {
  bool refers =
      false;          // leads through a reference: then the keywords passed do not tell where the last one stands. Names like one count too
  bool plain = true;  // stands for itself in a fragment
};

// `place`: of its last step.
void append_path(Text& out, const Ledger& kept, std::size_t place, Path& path) {
  const auto& step = kept.read<KeptStep>(place);
  if (step.outer != kNoPlace) append_path(out, kept, step.outer, path);
  if (step.keyword_size > 0) {
    out += '/';
    out += std::string_view(step.keyword, step.keyword_size);
    path.refers = path.refers || *step.keyword == '$';
    if (step.kind == StepKind::kNothing) return;
  }
  out += '/';
  if (step.kind == StepKind::kIndex) return append_number(out, step.number);
  const auto token = token_of(kept, place, step);
  append_token(out, token);
  path.refers = path.refers || token.starts_with('$');
  path.plain = path.plain && stands_for_itself(token);
}

// A violation's texts while they are written: places in a text that still grows.
struct Spans {
  struct Span {
    std::size_t at = 0;
    std::size_t end = 0;
  };
  Span instance{};
  Span location{};
  Span absolute{};
  Span keyword{};
  Span message{};
  std::size_t parent = json_schema::Violation::kNoParent;
};

// What a thread keeps between reports, so that each takes no more memory from outside than it shows in the end.
struct Scratch {
  Text text{};
  std::vector<Spans> list{};
};

void write(Text& text, Spans& spans, const Eval::Program& program, const Ledger& kept, std::size_t place) {
  const auto& found = kept.read<Finding>(place);
  const auto& node = *found.node;
  spans.parent = found.parent;
  const auto mark = [&](Spans::Span& span, auto&& write) {
    span.at = text.size();
    write();
    span.end = text.size();
  };
  Path instance;
  mark(spans.instance, [&] {
    if (found.instance != kNoPlace) append_path(text, kept, found.instance, instance);
  });
  // The URI first: where it ends in the path, that is written once.
  const auto& resource = program.resources[node.resource];
  const auto start = text.size();
  text += resource.base;
  Path path;
  mark(spans.location, [&] {
    if (found.location != kNoPlace) append_path(text, kept, found.location, path);
    if (node.never) return;
    text += '/';
    text += found.keyword;
  });
  spans.keyword = {spans.location.end - found.keyword.size(), spans.location.end};
  spans.absolute = {start, spans.location.end};
  if (path.refers || node.resource != program.root_resource) {
    mark(spans.absolute, [&] {
      append_location(text, program, node);
      if (node.never) return;
      text += '/';
      text += found.keyword;
    });
  } else if (!path.plain) {
    const auto shown = shown_location(resource.uri, text.view().substr(spans.location.at));
    mark(spans.absolute, [&] { text += shown; });
  }
  if (node.never) mark(spans.keyword, [&] { text += found.keyword; });
  mark(spans.message, [&] { found.message(text, kept, place + Ledger::kWordsOf<Finding>); });
}

}  // namespace

void write_texts(const Eval::Program& program, const Ledger& kept, std::size_t first, std::size_t count, Ledger& to) {
  using json_schema::Violation;
  thread_local Scratch scratch;
  scratch.text.clear();
  scratch.list.clear();
  for (auto place = first; scratch.list.size() < count;) {
    write(scratch.text, scratch.list.emplace_back(), program, kept, place);
    place = kept.read<Finding>(place).next;
  }
  const auto texts = count * Ledger::kWordsOf<Violation>;
  to.clear();
  to.take(texts + (scratch.text.size() + 7) / 8);
  auto* const text = reinterpret_cast<char*>(to.at(texts));
  std::memcpy(text, scratch.text.view().data(), scratch.text.size());
  const auto part = [&](Spans::Span span) { return std::string_view(text + span.at, span.end - span.at); };
  std::size_t place = 0;
  for (const auto& one : scratch.list) {
    to.make<Violation>(place, part(one.instance), part(one.location), part(one.absolute), part(one.keyword), part(one.message), one.parent);
    place += Ledger::kWordsOf<Violation>;
  }
  if (scratch.text.capacity() + scratch.list.capacity() * sizeof(Spans) > FastParser::kKeptBytes) scratch = {};
}

}  // namespace setget::inline v0::detail::schema
