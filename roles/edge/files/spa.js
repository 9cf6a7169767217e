// The front end routes in the browser: /cars/42 is no object in the bucket. Whatever has no file extension is answered
// with the page itself, which then shows the right view. Errors stay errors: a missing asset is not turned into HTML.
function handler(event) {
  var request = event.request;
  var last = request.uri.substring(request.uri.lastIndexOf("/") + 1);
  if (last.indexOf(".") === -1) {
    request.uri = "/index.html";
  }
  return request;
}
