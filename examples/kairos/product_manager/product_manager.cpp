#include "product_manager/product_manager.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace kairos {

using setget::Error;
using setget::ErrorCode;
using setget::Result;

namespace {

// Suppliers send numbers as text or as numbers.
std::string text_of(const nlohmann::ordered_json& fields, const char* name) {
  const auto found = fields.find(name);
  if (found == fields.end() || found->is_null()) return {};
  return found->is_string() ? found->get<std::string>() : found->dump();
}

Error refuse(const Item& item, const std::string& field, const std::string& why) {
  return Error(ErrorCode::kInvalidArgument, item.file + ": item " + std::to_string(item.number) + ": " + field + ": " + why)
      .at_field(field);
}

// "12", "12.5" or "12,50" as cents; no binary fractions on the way.
std::optional<std::int64_t> cents_of(const std::string& text) {
  const auto point = text.find_first_of(".,");
  std::string digits = text.substr(0, point);
  std::string fraction = point == std::string::npos ? "" : text.substr(point + 1);
  const auto only_digits = [](const std::string& part) {
    return std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  if (digits.empty() || fraction.size() > 2 || !only_digits(digits) || !only_digits(fraction)) return {};
  fraction.resize(2, '0');
  digits += fraction;
  std::int64_t cents = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), cents);
  if (parsed.ec != std::errc()) return {};
  return cents;
}

}  // namespace

Result<Product> ProductManager::enrich(Item item) const {
  const std::string sku = text_of(item.fields, "sku");
  if (sku.empty()) return refuse(item, "sku", "is missing");
  Product product;
  product.id = "product/" + sku;
  product.keys = {"sku/" + sku};
  if (const auto ean = text_of(item.fields, "ean"); !ean.empty()) product.keys.push_back("ean/" + ean);
  const auto supplier = text_of(item.fields, "supplier");
  const auto number = text_of(item.fields, "supplier_number");
  if (!supplier.empty() && !number.empty()) product.keys.push_back("supplier/" + supplier + "/" + number);

  if (const auto price = text_of(item.fields, "price"); !price.empty()) {
    const auto cents = cents_of(price);
    if (!cents) return refuse(item, "price", "\"" + price + "\" is not an amount with at most two decimals");
    item.fields["price_cents"] = *cents;
    if (text_of(item.fields, "currency").empty()) item.fields["currency"] = options_.default_currency;
  }
  item.fields["source"] = {{"file", item.file}, {"item", item.number}};
  product.document = std::move(item.fields);
  return product;
}

}  // namespace kairos
