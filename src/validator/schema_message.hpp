// What a report keeps of a violation until its texts are written: in a ledger, as places there, numbers, and pointers to what lives as long
// as the program. Nothing else may be a part of a message: a text of the document has no way in but by a copy. schema_message.cpp writes.
// Private to the validator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <vector>

#include "validator/ledger.hpp"
#include "validator/schema_program.hpp"
#include "validator/text.hpp"

namespace setget::inline v0::detail::schema {

inline constexpr std::size_t kNoPlace = static_cast<std::size_t>(-1);

// What a step of a path names besides its keyword.
enum class StepKind : std::uint8_t {
  kNothing,
  kIndex,
  kLasting,  // a text that lives as long as the program
  kName      // one of the document: kept behind the step, as put_text() does it
};

struct KeptStep {
  std::size_t outer = kNoPlace;
  const char* keyword = nullptr;
  std::uint32_t keyword_size = 0;  // 0: a step of the instance's path
  StepKind kind = StepKind::kNothing;
  const char* lasting = nullptr;
  std::size_t number = 0;  // the index, or the size of `lasting`
};

// The parts of messages. Sizes are whole words.
template <std::size_t N>
struct KeptLiteral {
  const char* text;
};
struct KeptText {  // lasting
  const char* text;
  std::size_t size;
};
struct KeptNumber {
  std::uint64_t number;
};
struct KeptTypeName {
  std::uint64_t type;
};
struct KeptTypes {
  std::uint64_t types;
};
struct KeptSet {
  const ValueSet* set;
};
struct KeptName {  // of a step
  std::size_t place;
};
// A word of a tape and the one after it; a text's stands in the ledger. With tag 0: the place of a container's copy in the second.
struct KeptValue {
  std::uint64_t words[2];
};

// Where the ledger has nothing of it, a part is written without.
void write_part(Text& out, const KeptText& text);
void write_part(Text& out, const KeptNumber& number);
void write_part(Text& out, const KeptTypeName& type);
void write_part(Text& out, const KeptTypes& types);
void write_part(Text& out, const KeptSet& set);
void write_part(Text& out, const Ledger& kept, const KeptName& name);
void write_part(Text& out, const Ledger& kept, const KeptValue& value);
template <std::size_t N>
void write_part(Text& out, const KeptLiteral<N>& literal) {
  out.add<N>(literal.text);
}

using WriteMessage = void (*)(Text& out, const Ledger& kept, std::size_t parts);
template <class... Kept>
void write_message(Text& out, const Ledger& kept, std::size_t at) {
  const auto next = [&]<class Part>(std::type_identity<Part>) {
    if constexpr (requires { write_part(out, kept.read<Part>(at)); }) {
      write_part(out, kept.read<Part>(at));
    } else {
      write_part(out, kept, kept.read<Part>(at));
    }
    at += Ledger::kWordsOf<Part>;
  };
  (next(std::type_identity<Kept>{}), ...);
}

// A violation; the parts of its message follow.
struct Finding {
  std::size_t next = 0;  // place of the one after it
  std::size_t parent = json_schema::Violation::kNoParent;
  const Node* node = nullptr;
  std::string_view keyword{};  // lasting
  std::size_t instance = kNoPlace;
  std::size_t location = kNoPlace;
  WriteMessage message = nullptr;
};

// A violation's texts while they are written: places in a text that still grows.
struct Spans {
  struct Span {
    std::size_t at;
    std::size_t end;
  };
  Spans() noexcept {}  // NOLINT(modernize-use-equals-default,cppcoreguidelines-pro-type-member-init): all of it is written next

  Span instance;
  Span location;
  Span absolute;
  Span keyword;
  Span message;
  std::size_t parent;
};

// The texts of a report while they are written. A thread keeps one between reports, so that each takes no more memory from outside than it
// shows in the end.
struct Texts {
  Text text{};
  std::vector<Spans> list{};

  static Texts& of_thread();  // empty
  // A list of Violation and behind it their texts.
  void finish(Ledger& to);
};

// As much of a value as a message shows.
KeptValue keep_container(Ledger& ledger, const Tape& tape, std::size_t at);
inline constexpr std::size_t kMostShown = 100;
inline KeptValue keep_value(Ledger& ledger, const Tape& tape, std::size_t at) {
  const auto word = tape.words[at];
  switch (tag_of(word)) {
    case 'l':
    case 'u':
    case 'd':
      return {{word, tape.words[at + 1]}};
    case '"':
    case 'N':
      return {{make_word(static_cast<char>(tag_of(word)), ledger.put_text(text_of(tape, word).substr(0, kMostShown + 4)) * 8), 0}};
    case '[':
    case '{':
      return keep_container(ledger, tape, at);
    default:
      return {{word, 0}};
  }
}

}  // namespace setget::inline v0::detail::schema
