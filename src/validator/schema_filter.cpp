#include "validator/schema_compiler.hpp"
#include "validator/schema_eval.hpp"
namespace setget::inline v0::detail::schema {
void make_filters(json_schema::Validator::Program&) {}
std::size_t Eval::candidates(const Filter&, std::size_t, std::uint8_t) { return 0; }
}
