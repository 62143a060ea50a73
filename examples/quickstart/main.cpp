// The 20 lines of README.md: open a file, start the pipeline, set a record under two keys, get it by one of them.
#include <setget/setget.hpp>
#include <setget/sqlite.hpp>

int main() {
  auto db = setget::sqlite::open({.path = "setget.db"}).value();
  auto pipeline = setget::Pipeline::create({.queue = db.queue("records"),
                                            .key_store = db.key_store(),
                                            .archive = db.archive(),
                                            .flows = setget::load_flows("flows.toml").value()})
                      .value();
  pipeline->start().value();

  auto receipt = pipeline->set({.keys = {"order/42", "crm/9"}, .account = "acme", .flow = "orders", .payload = R"({"total": 12})"})
                     .value();  // durable once this returns
  pipeline->wait(receipt, setget::Deadline::in(std::chrono::seconds(5))).value();
  auto found = pipeline->get("crm/9").value();  // std::optional<Record>
  return found && found->payload.view() == R"({"total": 12})" ? 0 : 1;
}
