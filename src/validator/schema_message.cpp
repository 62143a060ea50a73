// The texts of a report, written when they are read.
#include "validator/schema_message.hpp"

#include <cstring>
#include <vector>

#include "core/cut_text.hpp"
#include "validator/schema_compiler.hpp"
#include "validator/schema_reporter.hpp"
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

void write_part(Text& out, const KeptText& text) { out += std::string_view(text.text, text.size); }
void write_part(Text& out, const KeptNumber& number) { append_number(out, number.number); }

void write_part(Text& out, const KeptTypeName& type) {
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

void write_part(Text& out, const KeptTypes& expected) {
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

void write_part(Text& out, const KeptSet& kept) {
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
  out += cut_text(token_of(kept, name.place, kept.read<KeptStep>(name.place)), 100);
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

void append_step(Text& out, std::string_view keyword, StepKind kind, std::size_t number, std::string_view token, Path& path) {
  if (!keyword.empty()) {
    out += '/';
    out += keyword;
    path.refers = path.refers || keyword.front() == '$';
    if (kind == StepKind::kNothing) return;
  }
  out += '/';
  if (kind == StepKind::kIndex) return append_number(out, number);
  const bool plain = append_token(out, token);
  path.refers = path.refers || token.starts_with('$');
  path.plain = path.plain && plain;
}

// The paths of a violation that a ledger keeps, and of one that has just been found; by their last steps.
struct KeptPlaces {
  const Ledger& kept;
  std::size_t instance;
  std::size_t keyword;

  void append(Text& out, std::size_t place, Path& path) const {
    if (place == kNoPlace) return;
    const auto& step = kept.read<KeptStep>(place);
    append(out, step.outer, path);
    append_step(out, {step.keyword, step.keyword_size}, step.kind, step.number, token_of(kept, place, step), path);
  }
};
struct FoundPlaces {
  const PathStep* instance;
  const PathStep* keyword;

  void append(Text& out, const PathStep* step, Path& path) const {
    if (step == nullptr) return;
    append(out, step->outer, path);
    append_step(out, step->keyword, step->kind, step->index, step->token, path);
  }
};

// All but the message, which comes next.
template <class Places>
Spans& write_places(Texts& to, const Eval::Program& program, const Node& node, std::string_view keyword, std::size_t parent,
                    const Places& places) {
  auto& text = to.text;
  auto& spans = to.list.emplace_back();
  spans.parent = parent;
  const auto mark = [&](Spans::Span& span, auto&& write) {
    span.at = text.size();
    write();
    span.end = text.size();
  };
  Path instance;
  mark(spans.instance, [&] { places.append(text, places.instance, instance); });
  // The URI first: where it ends in the path, that is written once.
  const auto& resource = program.resources[node.resource];
  const auto start = text.size();
  text += std::string_view(resource.base);
  Path path;
  mark(spans.location, [&] {
    places.append(text, places.keyword, path);
    if (node.never) return;
    text += '/';
    text += keyword;
  });
  spans.keyword = {spans.location.end - keyword.size(), spans.location.end};
  spans.absolute = {start, spans.location.end};
  if (path.refers || node.resource != program.root_resource) {
    mark(spans.absolute, [&] {
      append_location(text, program, node);
      if (node.never) return;
      text += '/';
      text += keyword;
    });
  } else if (!path.plain) {
    const auto shown = shown_location(resource.uri, text.view().substr(spans.location.at));
    mark(spans.absolute, [&] { text += shown; });
  }
  if (node.never) mark(spans.keyword, [&] { text += keyword; });
  spans.message.at = text.size();
  return spans;
}

}  // namespace

Spans& begin_violation(Texts& to, const Eval::Program& program, const Node& node, std::string_view keyword, const PathPlace& where) {
  return write_places(to, program, node, keyword, where.parent, FoundPlaces{where.instance, where.keyword});
}

Texts& Texts::of_thread() {
  thread_local Texts own;
  own.text.clear();
  own.list.clear();
  return own;
}

void Texts::finish(Ledger& to) {
  using json_schema::Violation;
  const auto first = list.size() * Ledger::kWordsOf<Violation>;
  to.clear();
  to.take(first + (text.size() + 7) / 8);
  auto* const bytes = reinterpret_cast<char*>(to.at(first));
  std::memcpy(bytes, text.view().data(), text.size());
  const auto part = [&](Spans::Span span) { return std::string_view(bytes + span.at, span.end - span.at); };
  std::size_t place = 0;
  for (const auto& one : list) {
    to.make<Violation>(place, part(one.instance), part(one.location), part(one.absolute), part(one.keyword), part(one.message), one.parent);
    place += Ledger::kWordsOf<Violation>;
  }
  if (text.capacity() + list.capacity() * sizeof(Spans) > FastParser::kKeptBytes) *this = {};
}

void write_texts(const Eval::Program& program, const Ledger& kept, std::size_t first, std::size_t count, Ledger& to) {
  auto& texts = Texts::of_thread();
  for (auto place = first; texts.list.size() < count;) {
    const auto& found = kept.read<Finding>(place);
    auto& spans = write_places(texts, program, *found.node, found.keyword, found.parent, KeptPlaces{kept, found.instance, found.location});
    found.message(texts.text, kept, place + Ledger::kWordsOf<Finding>);
    spans.message.end = texts.text.size();
    place = found.next;
  }
  texts.finish(to);
}

}  // namespace setget::inline v0::detail::schema
