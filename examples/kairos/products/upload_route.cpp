#include "products/upload_route.hpp"

#include <exception>

namespace kairos {

using setget::Error;
using setget::ErrorCode;
using setget::Result;

namespace {
constexpr std::size_t kBatch = 100;
constexpr std::size_t kListedRefusals = 100;
constexpr std::size_t kListedKeys = 1000;
constexpr std::size_t kChunk = 64u << 10;

setget::GatewayResponse respond(const setget::GatewayRequest& request, const ProductManager& manager, Products& products) {
  if (request.method != "POST") {
    auto response = setget::problem(405, Error(ErrorCode::kInvalidArgument, "uploads are sent with POST"));
    response.headers.emplace_back("Allow", "POST");
    return response;
  }
  auto upload = Upload::create(request.header("Content-Type"), manager, products);
  if (!upload) return setget::problem(415, upload.error());
  for (std::size_t at = 0; at < request.body.size(); at += kChunk) {
    const auto fed = (*upload)->feed(request.body.view().substr(at, kChunk));
    if (!fed) return setget::problem(setget::http_status(fed.error()), fed.error());
  }
  const auto report = (*upload)->finish();
  if (!report) return setget::problem(setget::http_status(report.error()), report.error());
  const nlohmann::ordered_json body = {{"items", report->items}, {"accepted", report->accepted}, {"refused", report->refused}};
  setget::GatewayResponse response;
  response.headers.emplace_back("Content-Type", "application/json");
  response.body = body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return response;
}

}  // namespace

Result<std::unique_ptr<Upload>> Upload::create(std::string_view content_type, const ProductManager& manager, Products& products) {
  std::unique_ptr<Upload> upload(new Upload(manager, products));
  auto files = FileProcess::create(content_type, [raw = upload.get()](Item&& item) { return raw->take(std::move(item)); });
  if (!files) return std::move(files).error();
  upload->files_ = std::move(*files);
  return upload;
}

void Upload::refuse(std::string why) {
  ++report_.refused_count;
  if (report_.refused.size() < kListedRefusals) report_.refused.push_back(std::move(why));
}

Result<void> Upload::take(Item&& item) {
  ++report_.items;
  auto product = manager_.enrich(std::move(item));
  if (!product) {
    refuse(product.error().message());
    return {};
  }
  batch_.push_back(std::move(*product));
  return batch_.size() >= kBatch ? send() : Result<void>();
}

Result<void> Upload::send() {
  if (batch_.empty()) return {};
  auto receipts = products_.store(batch_);
  if (!receipts) return std::move(receipts).error();
  report_.last.clear();
  for (std::size_t i = 0; i < receipts->size(); ++i) {
    auto& receipt = (*receipts)[i];
    if (!receipt) {
      refuse(batch_[i].id + ": " + receipt.error().describe());
      continue;
    }
    ++report_.accepted;
    if (report_.first_keys.size() < kListedKeys) report_.first_keys.push_back(batch_[i].keys.front());
    report_.last.push_back(std::move(*receipt));
  }
  batch_.clear();
  return {};
}

Result<void> Upload::feed(std::string_view bytes) { return files_->feed(bytes); }

Result<UploadReport> Upload::finish() {
  auto finished = files_->finish();
  if (!finished) return std::move(finished).error();
  auto sent = send();
  if (!sent) return std::move(sent).error();
  return std::move(report_);
}

setget::GatewayResponse handle_upload(const setget::GatewayRequest& request, const ProductManager& manager, Products& products) noexcept {
  try {
    return respond(request, manager, products);
  } catch (const std::exception& error) {
    return setget::problem(500, Error(ErrorCode::kInternal, error.what()));
  }
}

}  // namespace kairos
