// What the door decides about a request before anything is sent: which violations it has, which identity and group it gets, and the bytes
// of its message. Pure but for the id and trace it may draw. Thread rule: any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <setget/ingress.hpp>

#include "pipeline/flow_labels.hpp"

namespace setget::inline v0::detail {

// Carries the stamp where the queue gives none; a decimal number.
inline constexpr std::string_view kStampAttribute = "setget-stamp";

struct Door {
  const Flows& flows;
  const Limits& limits;
  const Validator& validator;
  const Clock& clock;
  Random& random;
  const FlowLabels& labels;
};

struct Prepared {
  OutgoingMessage message;
  CommandKind kind = CommandKind::kSet;
  std::string id;
  std::optional<Version> version;
  std::uint32_t series = 0;  // of its account and flow
};

// Errors: kInvalidArgument with every violation as reason; kInternal where a host's validator threw.
Result<Prepared> prepare(SetRequest&& request, const Door& door);
Result<Prepared> prepare(EraseRequest&& request, const Door& door);
Result<Prepared> prepare(TouchRequest&& request, const Door& door);
// The violations alone; nothing is drawn or encoded.
Result<std::vector<Reason>> violations(const SetRequest& request, const Door& door);

// The group in which sets, erases and touches of one identity are delivered in order.
std::string group_of(std::string_view ns, std::string_view id);
// All reasons as one error that names the first.
Error refusal(std::vector<Reason> reasons);

}  // namespace setget::inline v0::detail
